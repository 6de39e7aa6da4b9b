//! `latchd lock` as scripts meet it: the built binary around small shell commands.

mod codes;
mod counter;
mod first_process;
mod inherited;
pub mod job;
mod killed;
mod lost;
mod signals;
mod terminal;
mod unheard;
mod unstarted;
mod untouchable;
mod waiting;
