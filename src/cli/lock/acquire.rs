//! Acquires the lock in a session of its own, within `--wait`, whatever the service or a proxy before it does.

use std::time::Duration;

use super::super::connect::explain;
use super::super::{Failure, exit};
use super::arguments::Lock;
use super::group::Group;
use super::holders::{self, Seen};
use super::signals::Signals;
use crate::client::clock::Moment;
use crate::client::{AcquiredLock, Client, ClientError, Session};

/// How long the first answer may take if the wait is shorter.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_millis(900);
/// How long after the end of the wait its result may still arrive.
const RESULT_GRACE: Duration = Duration::from_millis(250);
/// How long leaving the queue and asking for the holders may take together.
const CLEANUP_TIMEOUT: Duration = Duration::from_millis(500);

enum Attempt {
    Held(Session, AcquiredLock),
    /// The wait ended without the lock.
    TimedOut,
    /// No answer arrived in time; with the last errors.
    NoAnswer(String),
    /// The holders wait for this attempt to end.
    Deadlock(Seen),
}

/// Acquires the lock; a signal ends the wait.
pub(super) async fn acquire(
    client: &Client,
    asked: &Lock,
    signals: &mut Signals,
    group: &mut Group,
) -> Result<(Session, AcquiredLock), Failure> {
    let begun = Moment::now();
    let cut = asked.wait.map(|wait| begun.after(wait.max(FIRST_ANSWER_TIMEOUT)).after(RESULT_GRACE));
    let attempt = tokio::select! {
        attempt = attempt(client, asked, begun) => attempt.map_err(failed),
        () = async { match cut { Some(cut) => cut.wait().await, None => std::future::pending().await } } => match client.never_connected() {
            true => Err(Failure::new(exit::UNREACHABLE, no_answer("no node answered within --wait", &client.last_errors()))),
            false => Ok(Attempt::NoAnswer(client.last_errors())),
        },
        signal = signals.end(group) => {
            let code = exit::SIGNAL.saturating_add(u8::try_from(signal.as_raw()).unwrap_or_default());
            Err(Failure::new(code, format!("the wait for {:?} was ended by a signal", asked.name())))
        }
    };
    if let Ok(Attempt::Held(session, hold)) = attempt {
        return Ok((session, hold));
    }
    // The waiter, if any is left in the service, ends with its session.
    let end = Moment::now().after(CLEANUP_TIMEOUT);
    timeout_at(end, client.close_session()).await;
    Err(match attempt {
        Err(failure) => failure,
        Ok(attempt) => Failure::new(exit::NOT_ACQUIRED, refusal(client, asked.name(), attempt, end).await),
    })
}

/// Why the lock was not acquired. Asks for its holders until `end`.
async fn refusal(client: &Client, name: &str, attempt: Attempt, end: Moment) -> String {
    if let Attempt::Deadlock(seen) = attempt {
        return holders::deadlock(name, &seen);
    }
    match (timeout_at(end, holders::seen(client, name)).await.flatten(), attempt) {
        (None, Attempt::NoAnswer(errors)) => no_answer(&format!("{name:?} was not acquired within --wait"), &errors),
        // Without an answer it may still have stood in the queue.
        (seen, _) => holders::refusal(name, seen.as_ref()),
    }
}

async fn attempt(client: &Client, asked: &Lock, begun: Moment) -> Result<Attempt, ClientError> {
    let end = asked.wait.map(|wait| begun.after(wait));
    loop {
        let session = client.open_session().await?;
        match attempt_in(session, client, asked, end).await {
            // The service has no memory of it, after a restart with an empty state.
            Err(error) if error.is_session_unknown() => {}
            attempted => return attempted,
        }
    }
}

async fn attempt_in(
    session: Session,
    client: &Client,
    asked: &Lock,
    end: Option<Moment>,
) -> Result<Attempt, ClientError> {
    let tokens = holders::tokens();
    if !tokens.is_empty() {
        // Under another `latchd lock`: do not wait before it is known who holds the lock.
        if let Some(hold) = client.acquire(&asked.request().wait(Duration::ZERO)).await? {
            return Ok(Attempt::Held(session, hold));
        }
        match holders::seen(client, asked.name()).await {
            Some(seen) if seen.is_deadlock(&tokens) => return Ok(Attempt::Deadlock(seen)),
            _ => {}
        }
    }
    let request = match end {
        Some(end) => asked.request().wait(end.left()),
        None => asked.request().wait_for_ever(),
    };
    let hold = client.acquire(&request).await?;
    Ok(hold.map_or(Attempt::TimedOut, |hold| Attempt::Held(session, hold)))
}

fn failed(error: ClientError) -> Failure {
    let code = match &error {
        error if error.is_misconfigured() => exit::CONFIG,
        error if error.is_unavailable() => exit::UNREACHABLE,
        _ => exit::REFUSED,
    };
    Failure { code, ..explain(error) }
}

fn no_answer(what: &str, last_errors: &str) -> String {
    let errors = if last_errors.is_empty() { "no answer came in time" } else { last_errors };
    format!("{what}: {errors}")
}

async fn timeout_at<T>(end: Moment, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = end.wait() => None,
    }
}
