//! `latchd lock`: runs a command while holding a lock, and ends it before somebody else can hold the lock too.
//!
//! `arguments.rs` is the command line, `run.rs` the course of events, `acquire.rs` how the lock is taken, `supervise.rs` what happens while the command
//! runs, `group.rs` the command's processes, `guard.rs` who ends them when this process is killed, `terminal.rs` who may
//! read from the terminal.

mod acquire;
mod arguments;
mod enclosing;
mod end_signal;
mod exec;
mod group;
mod guard;
mod holders;
mod members;
mod run;
mod signals;
mod supervise;
mod terminal;

pub use arguments::{Lock, duration};
pub use exec::ExecChild;
pub use guard::GuardChild;
