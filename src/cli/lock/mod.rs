//! `latchd lock`: runs a command while holding a lock, and ends it before another client can hold the lock too.
//!
//! `arguments.rs` is the command line, `run.rs` calls the parts in order, `acquire.rs` acquires the lock, `supervise.rs`
//! watches the running command, `group.rs` has its processes, `children.rs` starts it and kills it if this process is killed,
//! and `job_control.rs` passes signals on and decides who may read from the terminal.

mod acquire;
mod arguments;
mod children;
mod group;
mod job_control;
mod run;
mod supervise;

pub use arguments::{Lock, duration};
pub use children::{ExecChild, GuardChild};
