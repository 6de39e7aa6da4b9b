//! Who is in the way, for people.

use super::super::human::{Span, holder};
use crate::client::{Client, Lock};

/// So many holders are named.
const NAMED: usize = 3;

/// A lock that somebody holds, or held when it was asked for.
pub(super) struct Seen(Lock);

impl Seen {
    /// Whether waiting cannot end: everyone who could give the lock back waits for who asks.
    pub fn is_deadlock(&self, tokens: &[u64]) -> bool {
        let Lock { holders, size, .. } = &self.0;
        holders.len() >= *size as usize && holders.iter().all(|hold| tokens.contains(&hold.fencing_token))
    }

    fn names(&self) -> String {
        let since = |seconds: f64| Span(seconds).to_string();
        let holders = &self.0.holders;
        let named =
            holders.iter().take(NAMED).map(|hold| format!("{} for {}", holder(hold), since(hold.held_for_seconds)));
        let more = holders.len().saturating_sub(NAMED);
        named.chain((more > 0).then(|| format!("{more} more"))).collect::<Vec<_>>().join("; ")
    }
}

/// Who holds the lock; `None` if the service does not say, or nobody does.
pub(super) async fn seen(client: &Client, name: &str) -> Option<Seen> {
    // Only for a message, and a credential may have no right to it.
    client.show_lock(name).await.ok()?.filter(|lock| !lock.holders.is_empty()).map(Seen)
}

/// Of a lock that was not to be had.
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

/// Of a lock that is held around the very command that asks for it.
pub(super) fn deadlock(name: &str, seen: &Seen) -> String {
    format!(
        "{name:?} is held by the `latchd lock` that this command runs under ({}): to wait for it is a deadlock with \
         oneself",
        seen.names()
    )
}
