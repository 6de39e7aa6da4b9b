//! Durations and holders as people read them in a table.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use crate::client::Holder;

/// What stands in a cell that has nothing to say.
pub const NOTHING: &str = "-";

/// A duration in its two largest units: `0.4s`, `12s`, `3m5s`, `2h10m`, `9d4h`.
pub struct Span(pub f64);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = Duration::try_from_secs_f64(self.0.max(0.0)).unwrap_or(Duration::MAX);
        let seconds = span.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        match (days, hours, minutes) {
            (0, 0, 0) if seconds < 10 => write!(f, "{seconds}.{}s", span.subsec_millis() / 100),
            (0, 0, 0) => write!(f, "{seconds}s"),
            (0, 0, _) => write!(f, "{minutes}m{}s", seconds % 60),
            (0, _, _) => write!(f, "{hours}h{}m", minutes % 60),
            _ => write!(f, "{days}d{}h", hours % 24),
        }
    }
}

/// A duration that may be without an end.
pub fn span(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| NOTHING.to_owned(), |seconds| Span(seconds).to_string())
}

/// Who a holder says it is: its owner and its metadata, or else its session.
pub fn holder(holder: &Holder) -> String {
    let owner = holder.owner.iter().cloned();
    let said: Vec<String> = owner.chain(pairs(&holder.metadata)).collect();
    match (said.is_empty(), &holder.session) {
        (false, _) => said.join(" "),
        (true, Some(session)) => format!("session {session}"),
        (true, None) => NOTHING.to_owned(),
    }
}

fn pairs(metadata: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    metadata.iter().map(|(key, value)| format!("{key}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        let shown = [0.0, 9.95, 59.9, 185.0, 7_800.0, 792_000.0].map(|seconds| Span(seconds).to_string());
        assert_eq!(shown, ["0.0s", "9.9s", "59s", "3m5s", "2h10m", "9d4h"]);
        assert_eq!((span(None), span(Some(-1.0))), ("-".to_owned(), "0.0s".to_owned()));
        assert_eq!(Span(f64::MAX).to_string(), Span(u64::MAX as f64 * 2.0).to_string(), "absurd, and no panic");
    }
}
