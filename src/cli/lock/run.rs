//! The course of `latchd lock`: session, lock, command, release.

use std::time::Duration;

use super::super::{Failure, code, speech};
use super::acquire::acquire;
use super::arguments::Lock;
use super::enclosing;
use super::end_signal::end_signal;
use super::group::Group;
use super::guard::Guard;
use super::signals::Signals;
use super::supervise::{Outcome, Supervisor};
use super::terminal::Terminal;
use crate::client::{Client, Hold, Keeper, Session};

/// How long a service is looked for where the wait has no end, and how much longer than a wait that has one.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long giving back may take before it is left to the lease.
const RELEASE: Duration = Duration::from_secs(5);
/// How long ending the session of a lost lock may take; nothing depends on it.
const FAREWELL: Duration = Duration::from_millis(500);

fn os(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(code::OS_ERROR, format!("{what}: {error}"))
}

impl Lock {
    /// Runs the command under the lock: its exit code, or ours.
    pub fn run(self) -> Result<u8, Failure> {
        run(&self.named()?)
    }
}

fn run(asked: &Lock) -> Result<u8, Failure> {
    // Before anything is changed that processes inherit.
    let mut group = Group::prepare(&asked.command).map_err(|error| os("the command cannot be started", &error))?;
    let patience = asked.wait.unwrap_or_default().saturating_add(PATIENCE);
    let client = asked.connect.builder()?.patience(patience).default_metadata(!asked.no_default_metadata);
    let client = client.build().map_err(Failure::config)?;
    // On this thread alone: the kernel ties the command's life to the thread that starts it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| os("no runtime can be made", &error))?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(|error| os("signals cannot be listened for", &error))?;
        let (session, hold) = acquire(&client, asked, &mut signals, &mut group).await?;
        let outcome = hold_and_run(&client, &session, &hold, asked, &mut signals, &mut group).await;
        let was_held = tokio::select! {
            was_held = give_back(&client, &hold, outcome.as_ref().ok()) => was_held,
            // Whoever cannot wait for the release leaves it to the lease.
            _ = end_signal(&mut signals, &mut group) => true,
        };
        outcome.map(|outcome| if was_held { outcome.code() } else { outcome.unprotected().code() })
    });
    // A name that cannot be resolved keeps a thread busy, and nobody waits for it any more.
    runtime.shutdown_background();
    ended
}

async fn hold_and_run(
    client: &Client,
    session: &Session,
    hold: &Hold,
    asked: &Lock,
    signals: &mut Signals,
    group: &mut Group,
) -> Result<Outcome, Failure> {
    let no_lease = || Failure::new(code::LOST, "the hold has no lease");
    let keeper = Keeper::start(client, session, hold).ok_or_else(no_lease)?;
    let mut guard = Guard::start().map_err(|error| os("the command's guard cannot be started", &error))?;
    let mut terminal = Terminal::open();
    let watched = guard.watch(group.id());
    terminal.lend_to_the_interactive(group);
    group.begin(&enclosing::variables(hold)).map_err(|error| os("the command cannot be started", &error))?;
    if let Err(error) = watched {
        let what = "if this process is killed, some of it may go on";
        speech::note(format!("the command's guard is gone ({error}): {what}"));
    }
    let standing = keeper.standing();
    // The hold is certain for no longer than its session.
    let lease = session.idle_timeout.map_or(asked.lease, |idle| idle.min(asked.lease));
    let supervisor = Supervisor { group, lease, standing, signals, terminal: &mut terminal };
    let outcome = supervisor.run().await;
    terminal.take_back(group);
    guard.dismiss();
    Ok(outcome)
}

/// Whether the lock was held until now, as far as is known; what is wrong is told.
async fn give_back(client: &Client, hold: &Hold, outcome: Option<&Outcome>) -> bool {
    let released = async {
        let was_held = match client.give_back(&hold.name, &hold.key).await {
            Err(error) if error.is_session_unknown() => return Ok(false),
            answered => answered?,
        };
        // Of a lost lock nothing is left that the end of the session would have to free.
        if was_held { client.close_session().await.map(|()| true) } else { Ok(false) }
    };
    let failure = match outcome {
        // What still runs is protected for as long as the lease goes on.
        Some(Outcome::StillRunning) => return true,
        Some(Outcome::Lost) => {
            let _ = tokio::time::timeout(FAREWELL, client.close_session()).await;
            return true;
        }
        Some(Outcome::Ended(_)) | None => match tokio::time::timeout(RELEASE, released).await {
            Ok(Ok(true)) => return true,
            Ok(Ok(false)) => {
                let what =
                    "was lost while the command ran: the service says that the hold had ended before it was given back";
                speech::note(format!("{:?} {what}", hold.name));
                let _ = tokio::time::timeout(FAREWELL, client.close_session()).await;
                return false;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", RELEASE.as_secs()),
        },
    };
    let what = "could not be given back, it is free when its lease has ended";
    speech::note(format!("{:?} {what}: {failure}", hold.name));
    true
}
