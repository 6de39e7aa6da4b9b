//! Acquires the lock in a session of its own, within `--wait`, whatever the service or a proxy before it does; says who holds
//! it otherwise. The holds around this process, of which a command finds one in its environment, are not waited for.

use std::time::Duration;

use super::super::connect::refused;
use super::super::output::Span;
use super::super::{Failure, exit};
use super::asked::Asked;
use super::deadlock;
use super::described::{described, quoted, were};
use super::frozen::{frozen, telling};
use super::group::Group;
use super::job_control::Signals;
use crate::client::clock::Moment;
use crate::client::{AcquiredLock, BlockedBy, Client, ClientError, Lock as HeldLock, Session};

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
    /// The holders wait for this attempt to end, in these words.
    DeadlockWithOneself(String),
    /// The service refused to wait, because that could not end.
    Deadlock(Vec<BlockedBy>),
}

/// Acquires the lock; a signal ends the wait.
pub(super) async fn acquire(
    client: &Client,
    asked: &Asked,
    signals: &mut Signals,
    group: &mut Group,
) -> Result<(Session, AcquiredLock), Failure> {
    let begun = Moment::now();
    let cut = asked.wait.map(|wait| begun.after(wait.max(FIRST_ANSWER_TIMEOUT)).after(RESULT_GRACE));
    let attempt = tokio::select! {
        attempt = attempt(client, asked, begun) => attempt.map_err(refused),
        () = cut.unwrap_or(begun).wait(), if cut.is_some() => match client.never_connected() {
            true => Err(Failure::new(exit::UNREACHABLE, no_answer("no node answered within --wait", &client.last_errors()))),
            false => Ok(Attempt::NoAnswer(client.last_errors())),
        },
        signal = signals.end(group) => {
            let code = exit::SIGNAL.saturating_add(u8::try_from(signal.as_raw()).unwrap_or_default());
            Err(Failure::new(code, format!("the wait for {} was ended by a signal", quoted(&asked.names))))
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
        Ok(attempt) => Failure::new(exit::NOT_ACQUIRED, reason(client, &asked.names, attempt, end).await),
    })
}

/// Why the locks were not acquired. Asks for freezes and for their holders until `end`.
async fn reason(client: &Client, names: &[String], attempt: Attempt, end: Moment) -> String {
    if let Attempt::Deadlock(steps) = attempt {
        let found = timeout_at(end, deadlock::cycle(client, &steps)).await;
        return found.unwrap_or_else(|| ClientError::WouldDeadlock(steps).to_string());
    }
    if let Attempt::DeadlockWithOneself(why) = attempt {
        return why;
    }
    let asked = async { tokio::join!(frozen(client, names), all_seen(client, names)) };
    let (mut told, found) = timeout_at(end, asked).await.unwrap_or_default();
    told.extend(found.iter().map(refusal));
    match (told.as_slice(), attempt) {
        ([], Attempt::NoAnswer(errors)) => no_answer(&format!("{} not acquired within --wait", were(names)), &errors),
        // Without an answer it may still have stood in the queue.
        ([], _) => {
            format!("{} held, or waited for, by somebody else; who, the service does not say any more", were(names))
        }
        (told, _) => told.join("; "),
    }
}

async fn attempt(client: &Client, asked: &Asked, begun: Moment) -> Result<Attempt, ClientError> {
    let end = asked.wait.map(|wait| begun.after(wait));
    loop {
        let session = client.open_session().await?;
        match attempt_in(session, client, asked, end).await {
            // The service has no memory of it, after a restart with an empty state.
            Err(error) if error.is_session_unknown() => {}
            Err(ClientError::WouldDeadlock(steps)) => return Ok(Attempt::Deadlock(steps)),
            attempted => return attempted,
        }
    }
}

async fn attempt_in(
    session: Session,
    client: &Client,
    asked: &Asked,
    end: Option<Moment>,
) -> Result<Attempt, ClientError> {
    let tokens = tokens();
    if !tokens.is_empty() {
        // Under another `latchd lock`: do not wait before it is known who holds the lock.
        if let Some(hold) = client.acquire(&asked.request.clone().wait(Duration::ZERO)).await? {
            return Ok(Attempt::Held(session, hold));
        }
        let wait = end.map(Moment::left);
        for seen in all_seen(client, &asked.names).await {
            if let Some(why) = deadlock::with_oneself(&seen, asked.need, &tokens, wait) {
                return Ok(Attempt::DeadlockWithOneself(why));
            }
        }
    }
    let request = match end {
        Some(end) => asked.request.clone().wait(end.left()),
        None => asked.request.clone().wait_for_ever(),
    };
    let hold = telling(client, &asked.names, client.acquire(&request)).await?;
    Ok(hold.map_or(Attempt::TimedOut, |hold| Attempt::Held(session, hold)))
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

/// Those of the locks that somebody has or has just lost, and that the service shows.
async fn all_seen(client: &Client, names: &[String]) -> Vec<HeldLock> {
    let mut found = Vec::new();
    for name in names {
        // Only for a message, so errors are ignored; the credential may lack the right.
        let is_taken = |lock: &HeldLock| !lock.holders.is_empty() || lock.delayed_for_seconds.is_some();
        found.extend(client.show_lock(name).await.ok().flatten().filter(is_taken));
    }
    found
}

fn refusal(seen: &HeldLock) -> String {
    let waiting = match seen.queue_length {
        0 => "nobody waits for it".to_owned(),
        1 => "1 waits for it".to_owned(),
        several => format!("{several} wait for it"),
    };
    match seen.delayed_for_seconds {
        Some(left) if seen.holders.is_empty() => {
            format!(
                "{:?} is not granted for another {}, because of how its last hold ended; {waiting}",
                seen.name,
                Span(left)
            )
        }
        _ => format!("{:?} is held by somebody else: {}; {waiting}", seen.name, described(&seen.holders)),
    }
}

const TOKEN: &str = "LATCHD_FENCING_TOKEN";
/// The fencing tokens of all holds around the command, the outermost first.
const TOKENS: &str = "LATCHD_FENCING_TOKENS";

/// The environment of a command that runs under this hold.
pub(super) fn variables(hold: &AcquiredLock) -> [(&'static str, String); 5] {
    let token = hold.fencing_token.to_string();
    let around: Vec<String> = tokens().iter().map(u64::to_string).chain([token.clone()]).collect();
    let (first, all) = (hold.names.first().cloned().unwrap_or_default(), serde_json::json!(hold.names).to_string());
    [
        ("LATCHD_LOCK_NAME", first),
        ("LATCHD_LOCK_NAMES", all),
        ("LATCHD_LOCK_KEY", hold.key.clone()),
        (TOKEN, token),
        (TOKENS, around.join(",")),
    ]
}

/// The tokens of the holds that this process runs under.
fn tokens() -> Vec<u64> {
    parsed(&[TOKENS, TOKEN].map(|variable| std::env::var(variable).unwrap_or_default()))
}

fn parsed(texts: &[String]) -> Vec<u64> {
    let mut tokens: Vec<u64> = Vec::new();
    for token in texts.iter().flat_map(|text| text.split(',')).filter_map(|token| token.trim().parse().ok()) {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enclosing_tokens_are_parsed_without_duplicates() {
        assert_eq!(parsed(&["3,9".to_owned(), "9".to_owned()]), [3, 9]);
        assert_eq!(parsed(&[String::new(), "9".to_owned()]), [9]);
        assert_eq!(parsed(&["x,,".to_owned(), String::new()]), Vec::<u64>::new());
    }
}
