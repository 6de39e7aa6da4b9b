//! `latchd lock`: runs a command while holding a lock, and ends it before another client can hold the lock too.
//!
//! `arguments.rs` is the command line, `run.rs` calls the parts in order, `acquire.rs` acquires the lock, `supervise.rs`
//! watches the running command, `group.rs` has its processes, `guard.rs` kills them if this process is killed, and
//! `terminal.rs` decides who may read from the terminal.

mod acquire;
mod arguments;
mod exec;
mod group;
mod guard;
mod holders;
mod run;
mod signals;
mod supervise;
mod terminal;

pub use arguments::{Lock, duration};
pub use exec::ExecChild;
pub use guard::GuardChild;
