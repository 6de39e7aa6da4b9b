//! Whether the idle timeouts of sessions differ.

use crate::domain::time::round_up_ms;
use crate::domain::{Body, Command, Entry};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Whether all sessions have the same idle timeout: then no session needs to be looked up for it.
///
/// The idle timeout of the first session that was seen in milliseconds, 0 before it, or [`SEVERAL`].
#[derive(Default)]
pub struct IdleTimeouts(AtomicU64);

impl IdleTimeouts {
    /// Whether a session may have another idle timeout than this.
    pub fn differ_from(&self, usual: Duration) -> bool {
        let seen = self.0.load(Ordering::Relaxed);
        seen != 0 && seen != round_up_ms(usual)
    }

    pub(super) fn note(&self, ms: u64) {
        let seen = self.0.load(Ordering::Relaxed);
        let next = if seen == 0 || seen == ms { ms } else { SEVERAL };
        self.0.store(next, Ordering::Relaxed);
    }

    pub(super) fn note_entry(&self, entry: &Entry) {
        let Body::Batch { commands, .. } = &entry.body else { return };
        for submitted in commands {
            if let Command::OpenSession { idle_timeout_ms, .. } = submitted.command {
                self.note(idle_timeout_ms);
            }
        }
    }
}

/// More than one idle timeout was seen.
const SEVERAL: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_idle_timeout_differs_from_every_usual_one() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(2));
        let timeouts = IdleTimeouts::default();
        assert!(!timeouts.differ_from(short), "no session was seen");
        timeouts.note(1_000);
        assert!(!timeouts.differ_from(short) && timeouts.differ_from(long));
        timeouts.note(2_000);
        assert!(timeouts.differ_from(short) && timeouts.differ_from(long));
    }
}
