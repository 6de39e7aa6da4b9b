//! The course of `latchd lock`: session, lock, command, release.

use std::time::Duration;

use rustix::process::Signal;

use super::group::Group;
use super::guard::Guard;
use super::signals::{Signals, asks_to_end};
use super::supervise::{Outcome, Supervisor};
use super::terminal::{Terminal, stop_the_job};
use super::{Lock, code};
use crate::client::{Client, ClientError, Hold, Keeper, Session};

/// How long a service is looked for, at least.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long giving back may take before it is left to the lease.
const RELEASE: Duration = Duration::from_secs(5);
/// How long ending the session of a lost lock may take; nothing depends on it.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why there is no exit code of the command.
pub(super) struct Stop {
    code: u8,
    message: String,
}

impl Stop {
    fn new(code: u8, message: impl Into<String>) -> Stop {
        Stop { code, message: message.into() }
    }

    fn os(what: &str, error: &std::io::Error) -> Stop {
        Stop::new(code::OS_ERROR, format!("{what}: {error}"))
    }

    /// Says why; the exit code.
    pub fn tell(self) -> u8 {
        eprintln!("latchd: {}", self.message);
        self.code
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Stop {
        let code = if error.is_unavailable() { code::UNREACHABLE } else { code::REFUSED };
        Stop::new(code, error.to_string())
    }
}

/// Runs the command under the lock; its exit code, or ours.
pub(super) fn to_the_end(asked: &Lock) -> Result<u8, Stop> {
    let patience = asked.wait.map_or(PATIENCE, |wait| wait.max(PATIENCE));
    let client = asked.connect.builder().map_err(|reason| Stop::new(code::CONFIG, reason))?.patience(patience);
    let client = client.build().map_err(|error| Stop::new(code::CONFIG, error.to_string()))?;
    // On this thread alone: the kernel ties the command's life to the thread that starts it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Stop::os("no runtime can be made", &error))?;
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(|error| Stop::os("signals cannot be listened for", &error))?;
        let (session, hold) = acquire(&client, asked, &mut signals).await?;
        let outcome = hold_and_run(&client, &session, &hold, asked, &mut signals).await;
        let lost = outcome.as_ref().is_ok_and(|outcome| outcome.lost.is_some());
        tokio::select! {
            () = give_back(&client, &hold, lost) => {}
            // Whoever cannot wait for the release leaves it to the lease.
            () = end_asked_for(&mut signals) => {}
        }
        outcome.map(|outcome| if outcome.lost.is_some() { code::LOST } else { outcome.code })
    })
}

/// The lock in a session of its own. A signal ends the wait.
async fn acquire(client: &Client, asked: &Lock, signals: &mut Signals) -> Result<(Session, Hold), Stop> {
    let held = tokio::select! {
        held = open_and_acquire(client, asked) => held,
        signal = first_end(signals) => {
            let _ = tokio::time::timeout(RELEASE, client.close_session()).await;
            let code = code::SIGNAL.saturating_add(u8::try_from(signal.as_raw()).unwrap_or_default());
            return Err(Stop::new(code, format!("the wait for {:?} was ended by a signal", asked.name)));
        }
    };
    if !matches!(held, Ok((_, Some(_)))) {
        // Whatever of the attempt is left in the service goes with its session.
        let _ = tokio::time::timeout(RELEASE, client.close_session()).await;
    }
    match held? {
        (session, Some(hold)) => Ok((session, hold)),
        (_, None) => Err(Stop::new(code::NOT_ACQUIRED, format!("{:?} is held by somebody else", asked.name))),
    }
}

async fn open_and_acquire(client: &Client, asked: &Lock) -> Result<(Session, Option<Hold>), ClientError> {
    let request = asked.request();
    loop {
        let session = client.open_session().await?;
        match client.acquire(&request).await {
            // A service without a memory was restarted.
            Err(error) if error.is_session_unknown() => {}
            acquired => return Ok((session, acquired?)),
        }
    }
}

async fn hold_and_run(
    client: &Client,
    session: &Session,
    hold: &Hold,
    asked: &Lock,
    signals: &mut Signals,
) -> Result<Outcome, Stop> {
    let keeper = Keeper::start(client, session, hold).ok_or_else(|| Stop::new(code::LOST, "the hold has no lease"))?;
    let mut guard = Guard::start().map_err(|error| Stop::os("the command's guard cannot be started", &error))?;
    let mut terminal = Terminal::open();
    let group =
        Group::start(&asked.command, hold).map_err(|error| Stop::os("the command cannot be started", &error))?;
    if let Err(error) = guard.watch(group.id()) {
        eprintln!("latchd: the command's guard is gone ({error}): if this process is killed, some of it may go on");
    }
    terminal.lend_to_the_interactive(&group);
    let standing = keeper.standing();
    let supervisor = Supervisor { group: &group, lease: asked.lease, standing, signals, terminal: &mut terminal };
    let outcome = supervisor.run().await;
    terminal.take_back(&group);
    guard.dismiss();
    Ok(outcome)
}

async fn give_back(client: &Client, hold: &Hold, lost: bool) {
    if lost {
        let _ = tokio::time::timeout(FAREWELL, client.close_session()).await;
        return;
    }
    let released = async {
        client.unlock(&hold.name, &hold.key).await?;
        client.close_session().await
    };
    let failure = match tokio::time::timeout(RELEASE, released).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) if error.is_session_unknown() => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", RELEASE.as_secs()),
    };
    eprintln!("latchd: {:?} could not be given back, it is free when its lease has ended: {failure}", hold.name);
}

/// The first signal that asks this process to end; one that asks it to stop is followed.
async fn first_end(signals: &mut Signals) -> Signal {
    loop {
        match signals.next().await {
            signal if asks_to_end(signal) => return signal,
            Signal::TSTP => stop_the_job(),
            _ => {}
        }
    }
}

async fn end_asked_for(signals: &mut Signals) {
    first_end(signals).await;
}
