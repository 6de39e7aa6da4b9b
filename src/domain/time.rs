//! Cluster time: milliseconds that only a leader advances (see `engine::cluster_clock`).

use std::time::Duration;

/// A moment in cluster time, in milliseconds since the service was first started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Later than any moment that is ever reached.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The moment `duration_ms` later; saturates.
    pub fn after_ms(self, duration_ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(duration_ms))
    }

    /// Whether this moment has passed at `now`. Strictly: a timestamp is real time rounded down, so an equal one may
    /// be up to a millisecond early, and a lease must never end early.
    pub fn is_past(self, now: Timestamp) -> bool {
        now > self
    }

    /// How long until this moment, seen from `now`.
    pub fn since(self, now: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }
}

/// The end of a lease: a moment, or never. As small as a timestamp, because a table may have millions of holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Deadline(Timestamp);

impl Deadline {
    pub const NEVER: Deadline = Deadline(Timestamp::MAX);

    /// A deadline at the very end of time is never reached.
    pub fn at(moment: Timestamp) -> Deadline {
        Deadline(moment)
    }

    /// The moment of the deadline; `None` if there is none.
    pub fn moment(self) -> Option<Timestamp> {
        (self != Deadline::NEVER).then_some(self.0)
    }

    pub fn is_past(self, now: Timestamp) -> bool {
        self.0.is_past(now)
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
    fn durations_round_up_to_at_least_one_millisecond() {
        assert_eq!(round_up_ms(Duration::ZERO), 1);
        assert_eq!(round_up_ms(Duration::from_nanos(1)), 1);
        assert_eq!(round_up_ms(Duration::from_micros(1_001)), 2);
        assert_eq!(round_up_ms(Duration::from_millis(7)), 7);
        assert_eq!(round_up_ms(Duration::MAX), u64::MAX);
    }

    #[test]
    fn deadline_is_past_only_strictly_later() {
        assert!(!Timestamp(5).is_past(Timestamp(5)));
        assert!(Timestamp(5).is_past(Timestamp(6)));
        assert_eq!(Deadline::at(Timestamp(5)).moment(), Some(Timestamp(5)));
        assert!(!Deadline::NEVER.is_past(Timestamp::MAX));
    }
}
