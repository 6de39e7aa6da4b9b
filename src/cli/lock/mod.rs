//! `latchd lock`: runs a command while holding a lock, and ends it before another client can hold the lock too.
//!
//! This file calls the parts in order. `arguments.rs` is the command line, `acquire.rs` acquires the lock, `supervise.rs`
//! watches the running command, `group.rs` has its processes, `children.rs` starts it and kills it if this process is killed,
//! and `job_control.rs` passes signals on and decides who may read from the terminal.

mod acquire;
mod arguments;
mod children;
mod deadlock;
mod described;
mod group;
mod job_control;
mod supervise;

use std::time::Duration;

use super::{Failure, exit, output_queue};
use crate::client::{AcquiredLock, Client, Keeper, Session};
use acquire::{acquire, variables};
use children::Guard;
use described::{quoted, were};
use group::Group;
use job_control::{Signals, Terminal};
use supervise::{Outcome, Supervisor};

pub use arguments::{Lock, duration};
pub use children::{ExecChild, GuardChild};

/// How long an unreachable service is retried, in addition to the wait.
const RETRY_FOR: Duration = Duration::from_secs(10);
/// How long the release may take before it is left to the lease.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long ending the session of a lost lock may take.
const CLEANUP_TIMEOUT: Duration = Duration::from_millis(500);

fn os_error(what: &str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(exit::OS_ERROR, format!("{what}: {error}"))
}

impl Lock {
    /// Runs the command under the lock; returns its exit code, or one of ours.
    pub fn run(self) -> Result<u8, Failure> {
        let asked = &self.named()?;
        // First, before anything changes that processes inherit.
        let mut group = Group::prepare(&asked.command).map_err(os_error("the command cannot be started"))?;
        let retry_for = asked.wait.unwrap_or_default().saturating_add(RETRY_FOR);
        let client = asked.connect.builder()?.retry_for(retry_for).default_metadata(!asked.no_default_metadata);
        let client = client.build().map_err(Failure::config)?;
        // On this thread, because the kernel ties the command's life to the thread that started it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(os_error("no runtime can be made"))?;
        let ended = runtime.block_on(async {
            let mut signals = Signals::listen().map_err(os_error("signals cannot be listened for"))?;
            let (session, hold) = acquire(&client, asked, &mut signals, &mut group).await?;
            let outcome = hold_and_run(&client, &session, &hold, asked, &mut signals, &mut group).await;
            let was_held = tokio::select! {
                was_held = release(&client, &hold, outcome.as_ref().ok()) => was_held,
                // A second signal leaves the release to the lease.
                _ = signals.end(&mut group) => true,
            };
            Ok(match outcome? {
                // The exit code of a failed command stays.
                Outcome::Ended(0) if !was_held => exit::LOST,
                outcome => outcome.code(),
            })
        });
        // A slow name lookup may still block a thread.
        runtime.shutdown_background();
        ended
    }
}

async fn hold_and_run(
    client: &Client,
    session: &Session,
    hold: &AcquiredLock,
    asked: &Lock,
    signals: &mut Signals,
    group: &mut Group,
) -> Result<Outcome, Failure> {
    let no_lease = || Failure::new(exit::LOST, "the hold has no lease");
    let keeper = Keeper::start(client, session, hold).ok_or_else(no_lease)?;
    let mut guard = Guard::start().map_err(os_error("the command's guard cannot be started"))?;
    let mut terminal = Terminal::open();
    let watched = guard.watch(group.id());
    terminal.lend_if_interactive(group);
    group.begin(&variables(hold)).map_err(os_error("the command cannot be started"))?;
    if let Err(error) = watched {
        let what = "if this process is killed, some of it may go on";
        output_queue::note(format!("the command's guard is gone ({error}): {what}"));
    }
    let status = keeper.status();
    // The hold lives no longer than its session.
    let lease = session.idle_timeout.map_or(asked.lease, |idle| idle.min(asked.lease));
    let supervisor = Supervisor { group, lease, status, signals, terminal: &mut terminal };
    let outcome = supervisor.run().await;
    terminal.take_back(group);
    guard.dismiss();
    Ok(outcome)
}

/// Releases the lock; whether it was held until now, as far as is known.
async fn release(client: &Client, hold: &AcquiredLock, outcome: Option<&Outcome>) -> bool {
    let released = async {
        match client.release_hold(hold).await {
            Ok((_, true)) => client.close_session().await.map(|()| true),
            Err(error) if !error.is_session_unknown() => Err(error),
            _ => Ok(false),
        }
    };
    let failure = match outcome {
        // The lease protects the processes that still run.
        Some(Outcome::StillRunning) => return true,
        Some(Outcome::Lost) => {
            let _ = tokio::time::timeout(CLEANUP_TIMEOUT, client.close_session()).await;
            return true;
        }
        Some(Outcome::Ended(_)) | None => match tokio::time::timeout(RELEASE_TIMEOUT, released).await {
            Ok(Ok(true)) => return true,
            Ok(Ok(false)) => {
                let what =
                    "lost while the command ran: the service says that the hold had ended before it was released";
                output_queue::note(format!("{} {what}", were(&hold.names)));
                let _ = tokio::time::timeout(CLEANUP_TIMEOUT, client.close_session()).await;
                return false;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", RELEASE_TIMEOUT.as_secs()),
        },
    };
    let what = "could not be released, and will be free when the lease has ended";
    output_queue::note(format!("{} {what}: {failure}", quoted(&hold.names)));
    true
}
