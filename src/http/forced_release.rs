//! The lines that forced changes of another client's hold leave in the log, whatever the dialect.

use crate::domain::view::HoldView;

/// Who ended which hold of another client, and why. The token names the hold without revealing its key.
pub fn log(actor: &str, lock: &str, hold: &HoldView, reason: &str) {
    let (token, names) = (hold.token.0, hold.names().map(|name| name.to_string()).collect::<Vec<_>>());
    tracing::warn!(actor, ?lock, ?names, token, ?reason, "{actor} forced the release of {lock:?}: {reason:?}");
}

/// Who gave another client's hold a lease of so many milliseconds, which may end it soon.
pub fn log_lease(actor: &str, lock: &str, hold: &HoldView, lease_ms: u64) {
    let token = hold.token.0;
    tracing::warn!(actor, ?lock, token, lease_ms, "{actor} forced a lease of {lease_ms} ms on the hold of {lock:?}");
}
