//! The lock in a session of its own, within `--wait`, whatever the service or a proxy before it does meanwhile.

use std::time::Duration;

use super::super::connect::explain;
use super::super::{Failure, code};
use super::arguments::Lock;
use super::enclosing;
use super::end_signal::end_signal;
use super::group::Group;
use super::holders::{self, Seen};
use super::signals::Signals;
use crate::client::clock::Moment;
use crate::client::{Client, ClientError, Hold, Session};

/// How long a service may take for its first answer where the wait is shorter.
const FIRST_WORD: Duration = Duration::from_millis(900);
/// How much later than the end of the wait the service may still say how it ended.
const LAST_WORD: Duration = Duration::from_millis(250);
/// How long leaving the queue and asking who holds the lock may take, both together.
const FAREWELL: Duration = Duration::from_millis(500);

/// How an attempt ended that was not cut short.
enum Attempt {
    Held(Session, Hold),
    /// The service says that it was not to be had.
    TimedOut,
    /// No answer told of it in time, as far as is known for this reason.
    Unheard(String),
    /// It is held by who waits for this very attempt to end.
    Deadlock(Seen),
}

/// A signal ends the wait.
pub(super) async fn acquire(
    client: &Client,
    asked: &Lock,
    signals: &mut Signals,
    group: &mut Group,
) -> Result<(Session, Hold), Failure> {
    let begun = Moment::now();
    let cut = asked.wait.map(|wait| begun.after(wait.max(FIRST_WORD)).after(LAST_WORD));
    let attempt = tokio::select! {
        attempt = open_and_acquire(client, asked, begun) => attempt.map_err(failed),
        () = at(cut) => match client.found_nobody() {
            true => Err(Failure::new(code::UNREACHABLE, unheard("no node answered within --wait", &client.trouble()))),
            false => Ok(Attempt::Unheard(client.trouble())),
        },
        signal = end_signal(signals, group) => {
            let code = code::SIGNAL.saturating_add(u8::try_from(signal.as_raw()).unwrap_or_default());
            Err(Failure::new(code, format!("the wait for {:?} was ended by a signal", asked.name())))
        }
    };
    let failure = match attempt {
        Ok(Attempt::Held(session, hold)) => return Ok((session, hold)),
        other => other,
    };
    // Whatever of the attempt is left in the service goes with its session.
    let farewell = Moment::now().after(FAREWELL);
    within(farewell, client.close_session()).await;
    Err(match failure {
        Err(failure) => failure,
        Ok(Attempt::Deadlock(seen)) => not_acquired(holders::deadlock(asked.name(), &seen)),
        Ok(Attempt::Unheard(trouble)) => match within(farewell, holders::seen(client, asked.name())).await.flatten() {
            // It stood in the queue, and something on the way has cut its requests.
            Some(seen) => not_acquired(holders::refusal(asked.name(), Some(&seen))),
            None => not_acquired(unheard(&format!("{:?} was not acquired within --wait", asked.name()), &trouble)),
        },
        Ok(_) => {
            let seen = within(farewell, holders::seen(client, asked.name())).await.flatten();
            not_acquired(holders::refusal(asked.name(), seen.as_ref()))
        }
    })
}

async fn open_and_acquire(client: &Client, asked: &Lock, begun: Moment) -> Result<Attempt, ClientError> {
    let end = asked.wait.map(|wait| begun.after(wait));
    loop {
        let session = client.open_session().await?;
        match in_session(client, asked, end).await {
            // A service without a memory was restarted.
            Err(error) if error.is_session_unknown() => {}
            Err(error) => return Err(error),
            Ok(Tried::Held(hold)) => return Ok(Attempt::Held(session, hold)),
            Ok(Tried::TimedOut) => return Ok(Attempt::TimedOut),
            Ok(Tried::Deadlock(seen)) => return Ok(Attempt::Deadlock(seen)),
        }
    }
}

enum Tried {
    Held(Hold),
    TimedOut,
    Deadlock(Seen),
}

async fn in_session(client: &Client, asked: &Lock, end: Option<Moment>) -> Result<Tried, ClientError> {
    let tokens = enclosing::tokens();
    if !tokens.is_empty() {
        // Below another `latchd lock`: first it is looked who is in the way.
        if let Some(hold) = client.acquire(&asked.request().wait(Duration::ZERO)).await? {
            return Ok(Tried::Held(hold));
        }
        match holders::seen(client, asked.name()).await {
            Some(seen) if seen.is_deadlock(&tokens) => return Ok(Tried::Deadlock(seen)),
            _ => {}
        }
    }
    let request = match end {
        Some(end) => asked.request().wait(end.left()),
        None => asked.request().wait_for_ever(),
    };
    Ok(client.acquire(&request).await?.map_or(Tried::TimedOut, Tried::Held))
}

fn not_acquired(message: String) -> Failure {
    Failure::new(code::NOT_ACQUIRED, message)
}

fn failed(error: ClientError) -> Failure {
    let code = match &error {
        error if error.is_misconfigured() => code::CONFIG,
        error if error.is_unavailable() => code::UNREACHABLE,
        _ => code::REFUSED,
    };
    Failure { code, ..explain(error) }
}

/// With the last reason that is known; without one nothing was heard of anybody.
fn unheard(what: &str, trouble: &str) -> String {
    let trouble = if trouble.is_empty() { "no answer came in time" } else { trouble };
    format!("{what}: {trouble}")
}

async fn at(moment: Option<Moment>) {
    match moment {
        Some(moment) => moment.wait().await,
        None => std::future::pending().await,
    }
}

async fn within<T>(end: Moment, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = end.wait() => None,
    }
}
