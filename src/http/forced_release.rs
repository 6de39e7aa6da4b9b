//! The line that each forced release leaves in the log, whatever the dialect.

use crate::domain::view::HoldView;

/// Who ended which hold of another client, and why. The token names the hold without revealing its key.
pub fn log(actor: &str, lock: &str, hold: &HoldView, reason: &str) {
    let (token, names) = (hold.token.0, hold.names().map(|name| name.to_string()).collect::<Vec<_>>());
    tracing::warn!(actor, ?lock, ?names, token, ?reason, "{actor} forced the release of {lock:?}: {reason:?}");
}
