//! `latchd lock`: runs a command while holding a lock, and ends it before another client can hold the lock too.
//!
//! `run.rs` calls the parts in order. `arguments.rs` is the command line, `acquire.rs` acquires the lock, `frozen.rs` tells
//! whoever waits of a freeze, `supervise.rs` watches the running command, `group.rs` has its processes, `children.rs` starts
//! it and kills it if this process is killed, and `job_control.rs` passes signals on and decides who may read from the
//! terminal. `elect.rs` does the same for the leader of an election, which `sidecar.rs` tells to other processes of this
//! machine.

mod acquire;
mod arguments;
mod asked;
mod children;
mod deadlock;
mod described;
mod elect;
mod frozen;
mod group;
mod job_control;
mod run;
mod sidecar;
mod supervise;

use super::Failure;
use group::Group;
use job_control::Signals;
use run::{NO_COMMAND, NO_SIGNALS, on_this_thread, os_error, retry_for, run_once};

pub use arguments::Lock;
pub use asked::duration;
pub use children::{ExecChild, GuardChild};
pub use elect::Elect;
pub use frozen::frozen;

impl Lock {
    /// Runs the command under the lock; returns its exit code, or one of ours.
    pub fn run(self) -> Result<u8, Failure> {
        let arguments = &self.named()?;
        // First, before anything changes that processes inherit.
        let mut group = Group::prepare(&arguments.command).map_err(os_error(NO_COMMAND))?;
        let asked = arguments.asked();
        let client = arguments.connect.builder()?.retry_for(retry_for(asked.wait));
        let client = client.default_metadata(!arguments.no_default_metadata).build().map_err(Failure::config)?;
        on_this_thread(async {
            let mut signals = Signals::listen().map_err(os_error(NO_SIGNALS))?;
            let ended = run_once(&client, &asked, &mut signals, &mut group, |_, _| ()).await;
            ended.map(|outcome| outcome.code())
        })
    }
}
