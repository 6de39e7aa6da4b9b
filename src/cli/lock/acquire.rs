//! Acquires the lock in a session of its own, within `--wait`, whatever the service or a proxy before it does; says who holds
//! it otherwise. The holds around this process, of which a command finds one in its environment, are not waited for.

use std::time::Duration;

use super::super::connect::refused;
use super::super::output::{Span, holder};
use super::super::{Failure, exit};
use super::arguments::Lock;
use super::group::Group;
use super::job_control::Signals;
use crate::client::clock::Moment;
use crate::client::{AcquiredLock, Client, ClientError, Holder, Lock as HeldLock, Session};

/// How long the first answer may take if the wait is shorter.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_millis(900);
/// How long after the end of the wait its result may still arrive.
const RESULT_GRACE: Duration = Duration::from_millis(250);
/// How long leaving the queue and asking for the holders may take together.
const CLEANUP_TIMEOUT: Duration = Duration::from_millis(500);

/// Holders that a message names.
const NAMED_MAX: usize = 3;

enum Attempt {
    Held(Session, AcquiredLock),
    /// The wait ended without the lock.
    TimedOut,
    /// No answer arrived in time; with the last errors.
    NoAnswer(String),
    /// The holders wait for this attempt to end.
    Deadlock(HeldLock),
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
        attempt = attempt(client, asked, begun) => attempt.map_err(refused),
        () = cut.unwrap_or(begun).wait(), if cut.is_some() => match client.never_connected() {
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
        Ok(attempt) => Failure::new(exit::NOT_ACQUIRED, reason(client, asked.name(), attempt, end).await),
    })
}

/// Why the lock was not acquired. Asks for its holders until `end`.
async fn reason(client: &Client, name: &str, attempt: Attempt, end: Moment) -> String {
    if let Attempt::Deadlock(seen) = attempt {
        return format!(
            "{name:?} is held by the `latchd lock` that this command runs under ({}): to wait for it is a deadlock \
             with oneself",
            names(&seen.holders)
        );
    }
    match (timeout_at(end, seen(client, name)).await.flatten(), attempt) {
        (None, Attempt::NoAnswer(errors)) => no_answer(&format!("{name:?} was not acquired within --wait"), &errors),
        // Without an answer it may still have stood in the queue.
        (seen, _) => refusal(name, seen.as_ref()),
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
    let tokens = tokens();
    if !tokens.is_empty() {
        // Under another `latchd lock`: do not wait before it is known who holds the lock.
        if let Some(hold) = client.acquire(&asked.request().wait(Duration::ZERO)).await? {
            return Ok(Attempt::Held(session, hold));
        }
        match seen(client, asked.name()).await {
            Some(seen) if is_deadlock(&seen, &tokens) => return Ok(Attempt::Deadlock(seen)),
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

/// Whether waiting cannot end: every holder of the lock waits for this process.
fn is_deadlock(seen: &HeldLock, tokens: &[u64]) -> bool {
    seen.holders.len() >= seen.size as usize && seen.holders.iter().all(|hold| tokens.contains(&hold.fencing_token))
}

/// The lock, if it has a holder and the service shows it.
async fn seen(client: &Client, name: &str) -> Option<HeldLock> {
    // Only for a message, so errors are ignored; the credential may lack the right.
    client.show_lock(name).await.ok()?.filter(|lock| !lock.holders.is_empty())
}

fn names(holders: &[Holder]) -> String {
    let named = |hold: &Holder| format!("{} for {}", holder(hold), Span(hold.held_for_seconds));
    let more = holders.len().saturating_sub(NAMED_MAX);
    let more = (more > 0).then(|| format!("{more} more"));
    holders.iter().take(NAMED_MAX).map(named).chain(more).collect::<Vec<_>>().join("; ")
}

fn refusal(name: &str, seen: Option<&HeldLock>) -> String {
    let Some(seen) = seen else {
        return format!("{name:?} was held, or waited for, by somebody else; who, the service does not say any more");
    };
    let waiting = match seen.queue_length {
        0 => "nobody waits for it".to_owned(),
        1 => "1 waits for it".to_owned(),
        several => format!("{several} wait for it"),
    };
    format!("{name:?} is held by somebody else: {}; {waiting}", names(&seen.holders))
}

const TOKEN: &str = "LATCHD_FENCING_TOKEN";
/// The fencing tokens of all holds around the command, the outermost first.
const TOKENS: &str = "LATCHD_FENCING_TOKENS";

/// The environment of a command that runs under this hold.
pub(super) fn variables(hold: &AcquiredLock) -> [(&'static str, String); 4] {
    let token = hold.fencing_token.to_string();
    let around: Vec<String> = tokens().iter().map(u64::to_string).chain([token.clone()]).collect();
    let (name, key) = (hold.name.clone(), hold.key.clone());
    [("LATCHD_LOCK_NAME", name), ("LATCHD_LOCK_KEY", key), (TOKEN, token), (TOKENS, around.join(","))]
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
