//! `latchd lock` as scripts meet it: the built binary around small shell commands.

mod codes;
mod counter;
pub mod job;
mod killed;
mod lost;
mod signals;
mod terminal;
