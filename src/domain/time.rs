//! Cluster time: milliseconds that only a leader advances (see `engine::cluster_clock`).

use std::fmt;
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

    /// How much later than `earlier` this moment is; zero if it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A moment in seven bytes, because a table may have millions of holds. Saturates after two million years.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CompactTimestamp([u8; 7]);

impl From<Timestamp> for CompactTimestamp {
    fn from(moment: Timestamp) -> CompactTimestamp {
        let [_, bytes @ ..] = moment.0.min((1 << 56) - 1).to_be_bytes();
        CompactTimestamp(bytes)
    }
}

impl From<CompactTimestamp> for Timestamp {
    fn from(CompactTimestamp([a, b, c, d, e, f, g]): CompactTimestamp) -> Timestamp {
        Timestamp(u64::from_be_bytes([0, a, b, c, d, e, f, g]))
    }
}

impl fmt::Debug for CompactTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Timestamp::from(*self).fmt(f)
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
    fn compact_timestamp_keeps_the_moment() {
        for ms in [0, 1, 255, 256, 1_800_000_000_000, (1 << 56) - 1] {
            assert_eq!(Timestamp::from(CompactTimestamp::from(Timestamp(ms))), Timestamp(ms));
        }
        assert_eq!(Timestamp::from(CompactTimestamp::from(Timestamp::MAX)), Timestamp((1 << 56) - 1));
    }

    #[test]
    fn deadline_is_past_only_strictly_later() {
        assert!(!Timestamp(5).is_past(Timestamp(5)));
        assert!(Timestamp(5).is_past(Timestamp(6)));
        assert_eq!(Deadline::at(Timestamp(5)).moment(), Some(Timestamp(5)));
        assert!(!Deadline::NEVER.is_past(Timestamp::MAX));
    }
}
