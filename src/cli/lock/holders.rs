//! The holders of a lock, for messages, and the holds around this process, which a command finds in its environment.

use super::super::output::{Span, holder};
use crate::client::{AcquiredLock, Client, Lock};

const NAMED_MAX: usize = 3;

/// A lock with at least one holder.
pub(super) struct Seen(Lock);

impl Seen {
    /// Whether waiting cannot end: every holder of the lock waits for this process.
    pub fn is_deadlock(&self, tokens: &[u64]) -> bool {
        let Lock { holders, size, .. } = &self.0;
        holders.len() >= *size as usize && holders.iter().all(|hold| tokens.contains(&hold.fencing_token))
    }

    fn names(&self) -> String {
        let since = |seconds: f64| Span(seconds).to_string();
        let holders = &self.0.holders;
        let named =
            holders.iter().take(NAMED_MAX).map(|hold| format!("{} for {}", holder(hold), since(hold.held_for_seconds)));
        let more = holders.len().saturating_sub(NAMED_MAX);
        named.chain((more > 0).then(|| format!("{more} more"))).collect::<Vec<_>>().join("; ")
    }
}

/// The lock, if it has a holder and the service shows it.
pub(super) async fn seen(client: &Client, name: &str) -> Option<Seen> {
    // Only for a message, so errors are ignored; the credential may lack the right.
    client.show_lock(name).await.ok()?.filter(|lock| !lock.holders.is_empty()).map(Seen)
}

/// Why a lock was not acquired.
pub(super) fn refusal(name: &str, seen: Option<&Seen>) -> String {
    let Some(seen) = seen else {
        return format!("{name:?} was held, or waited for, by somebody else; who, the service does not say any more");
    };
    let waiting = match seen.0.queue_length {
        0 => "nobody waits for it".to_owned(),
        1 => "1 waits for it".to_owned(),
        several => format!("{several} wait for it"),
    };
    format!("{name:?} is held by somebody else: {}; {waiting}", seen.names())
}

/// Why a lock that is held around this command is not waited for.
pub(super) fn deadlock(name: &str, seen: &Seen) -> String {
    format!(
        "{name:?} is held by the `latchd lock` that this command runs under ({}): to wait for it is a deadlock with \
         oneself",
        seen.names()
    )
}

const NAME: &str = "LATCHD_LOCK_NAME";
const KEY: &str = "LATCHD_LOCK_KEY";
const TOKEN: &str = "LATCHD_FENCING_TOKEN";
/// The fencing tokens of all holds around the command, the outermost first.
const TOKENS: &str = "LATCHD_FENCING_TOKENS";

/// The environment of a command that runs under this hold.
pub(super) fn variables(hold: &AcquiredLock) -> [(&'static str, String); 4] {
    let token = hold.fencing_token.to_string();
    let around: Vec<String> = tokens().iter().map(u64::to_string).chain([token.clone()]).collect();
    [(NAME, hold.name.clone()), (KEY, hold.key.clone()), (TOKEN, token), (TOKENS, around.join(","))]
}

/// The tokens of the holds that this process runs under.
pub(super) fn tokens() -> Vec<u64> {
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
