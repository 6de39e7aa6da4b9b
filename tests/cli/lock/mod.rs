//! `latchd lock` as scripts meet it: the built binary around small shell commands.

mod counter;
mod elect;
mod exit_codes;
mod first_process;
mod inherited;
pub mod job;
mod killed;
mod lost;
mod modes;
mod signals;
mod terminal;
mod told;
mod unstarted;
mod untouchable;
mod unwritable_stderr;
mod waiting;
