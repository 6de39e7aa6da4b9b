//! Acquires, runs the command, and releases.

use std::time::Duration;

use tokio::sync::watch;

use super::super::{Failure, exit, output_queue};
use super::acquire::{acquire, variables};
use super::asked::Asked;
use super::children::Guard;
use super::described::{quoted, were};
use super::group::Group;
use super::job_control::{Signals, Terminal};
use super::supervise::{Outcome, Supervisor};
use crate::client::{AcquiredLock, Client, HoldStatus, Keeper};

/// How long an unreachable service is retried, in addition to the wait.
const RETRY_FOR: Duration = Duration::from_secs(10);
/// How long the release may take before it is left to the lease.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long ending the session of a lost lock may take.
const CLEANUP_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) const NO_COMMAND: &str = "the command cannot be started";
pub(super) const NO_SIGNALS: &str = "signals cannot be listened for";

pub(super) fn os_error(what: &str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(exit::OS_ERROR, format!("{what}: {error}"))
}

pub(super) fn retry_for(wait: Option<Duration>) -> Duration {
    wait.unwrap_or_default().saturating_add(RETRY_FOR)
}

/// On this thread, because the kernel ties the command's life to the thread that started it.
pub(super) fn on_this_thread<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(os_error("no runtime can be made"))?;
    let ended = runtime.block_on(work);
    // A slow name lookup may still block a thread.
    runtime.shutdown_background();
    ended
}

/// Acquires, runs the prepared command, and releases. Tells of the hold and its status when it begins.
pub(super) async fn run_once(
    client: &Client,
    asked: &Asked,
    signals: &mut Signals,
    group: &mut Group,
    begun: impl FnOnce(&AcquiredLock, watch::Receiver<HoldStatus>),
) -> Result<Outcome, Failure> {
    let (session, hold) = acquire(client, asked, signals, group).await?;
    let no_lease = || Failure::new(exit::LOST, "the hold has no lease");
    let keeper = Keeper::start(client, &session, &hold).ok_or_else(no_lease)?;
    begun(&hold, keeper.status());
    // The hold lives no longer than its session.
    let lease = session.idle_timeout.map_or(asked.lease, |idle| idle.min(asked.lease));
    let outcome = run_under(&hold, keeper, lease, signals, group).await;
    let was_held = tokio::select! {
        was_held = release(client, &hold, outcome.as_ref().ok()) => was_held,
        // A second signal leaves the release to the lease.
        _ = signals.end(group) => true,
    };
    Ok(match outcome? {
        // The exit code of a failed command stays.
        Outcome::Ended(0) if !was_held => Outcome::Lost,
        outcome => outcome,
    })
}

/// Runs the command while the keeper renews.
async fn run_under(
    hold: &AcquiredLock,
    keeper: Keeper,
    lease: Duration,
    signals: &mut Signals,
    group: &mut Group,
) -> Result<Outcome, Failure> {
    let mut guard = Guard::start().map_err(os_error("the command's guard cannot be started"))?;
    let mut terminal = Terminal::open();
    let watched = guard.watch(group.id());
    terminal.lend_if_interactive(group);
    group.begin(&variables(hold)).map_err(os_error(NO_COMMAND))?;
    if let Err(error) = watched {
        let what = "if this process is killed, some of it may go on";
        output_queue::note(format!("the command's guard is gone ({error}): {what}"));
    }
    let supervisor = Supervisor { group, lease, status: keeper.status(), signals, terminal: &mut terminal };
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
