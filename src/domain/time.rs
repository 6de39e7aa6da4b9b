//! Cluster time: milliseconds that only a leader advances (see `engine::cluster_clock`).

use std::time::Duration;

/// A moment in cluster time, in milliseconds since the service was first started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Later than anything that will ever be reached.
    pub const NEVER: Timestamp = Timestamp(u64::MAX);

    /// The moment `duration_ms` later; the far end of time stays put.
    pub fn after_ms(self, duration_ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(duration_ms))
    }

    /// Whether a deadline has passed at `now`. Strictly later: a stamp is a floor of real time, so an equal
    /// stamp may be up to a millisecond early, and a lease must never end early.
    pub fn is_past(self, now: Timestamp) -> bool {
        now > self
    }

    /// How long until this moment, seen from `now`.
    pub fn since(self, now: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }
}

/// Whole milliseconds of a duration, rounded up and never 0.
pub fn round_up_ms(duration: Duration) -> u64 {
    let ms = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(ms).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_up_and_never_to_zero() {
        assert_eq!(round_up_ms(Duration::ZERO), 1);
        assert_eq!(round_up_ms(Duration::from_nanos(1)), 1);
        assert_eq!(round_up_ms(Duration::from_micros(1_001)), 2);
        assert_eq!(round_up_ms(Duration::from_millis(7)), 7);
        assert_eq!(round_up_ms(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_deadline_is_past_only_strictly_later() {
        assert!(!Timestamp(5).is_past(Timestamp(5)));
        assert!(Timestamp(5).is_past(Timestamp(6)));
        assert!(!Timestamp::NEVER.is_past(Timestamp::NEVER));
    }
}
