//! `latchd lock` as scripts meet it: the built binary around small shell commands.

mod codes;
mod counter;
mod job;
mod killed;
mod lost;
mod signals;
mod terminal;
