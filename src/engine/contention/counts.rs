//! What is counted of one name, in two windows of time: the one that runs, and the one before.

use crate::domain::Timestamp;
use std::time::Duration;

/// The statistics cover the window that runs and the one before: between one and two of these.
pub const WINDOW: Duration = Duration::from_secs(300);
const WINDOW_MS: u64 = WINDOW.as_millis() as u64;

/// Of one lock, in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waits that began.
    pub waits: u64,
    /// Waits that ended with a grant.
    pub granted: u64,
    /// Waits that ended by their timeout.
    pub timeouts: u64,
    /// Of the waits that ended, all together.
    pub wait_ms: u64,
    /// The longest of them.
    pub wait_max_ms: u64,
    /// Holds that ended.
    pub holds: u64,
    pub hold_ms: u64,
    pub hold_max_ms: u64,
}

impl Counts {
    pub fn add_wait(&mut self, ms: u64) {
        self.wait_ms = self.wait_ms.saturating_add(ms);
        self.wait_max_ms = self.wait_max_ms.max(ms);
    }

    pub fn add_hold(&mut self, ms: u64) {
        self.holds += 1;
        self.hold_ms = self.hold_ms.saturating_add(ms);
        self.hold_max_ms = self.hold_max_ms.max(ms);
    }

    fn and(self, other: Counts) -> Counts {
        Counts {
            waits: self.waits + other.waits,
            granted: self.granted + other.granted,
            timeouts: self.timeouts + other.timeouts,
            wait_ms: self.wait_ms.saturating_add(other.wait_ms),
            wait_max_ms: self.wait_max_ms.max(other.wait_max_ms),
            holds: self.holds + other.holds,
            hold_ms: self.hold_ms.saturating_add(other.hold_ms),
            hold_max_ms: self.hold_max_ms.max(other.hold_max_ms),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Windows {
    /// Which window `current` is.
    number: u64,
    current: Counts,
    before: Counts,
}

impl Windows {
    /// The counts of the window that runs `now`.
    pub fn at(&mut self, now: Timestamp) -> &mut Counts {
        *self = self.rolled(now);
        &mut self.current
    }

    /// What was counted in the window that runs `now` and in the one before.
    pub fn sum(&self, now: Timestamp) -> Counts {
        let rolled = self.rolled(now);
        rolled.current.and(rolled.before)
    }

    fn rolled(self, now: Timestamp) -> Windows {
        let number = now.0 / WINDOW_MS;
        let (current, before) = match number.saturating_sub(self.number) {
            0 => return self,
            1 => (Counts::default(), self.current),
            _ => (Counts::default(), Counts::default()),
        };
        Windows { number, current, before }
    }
}

/// How much time the statistics cover `now`, if they began at `began`.
pub fn covered(began: Timestamp, now: Timestamp) -> Duration {
    let before = Timestamp((now.0 / WINDOW_MS).saturating_sub(1) * WINDOW_MS);
    now.since(before.max(began))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_forgotten_after_the_window_that_follows_theirs() {
        let mut windows = Windows::default();
        windows.at(Timestamp(5)).add_wait(70);
        let sum = |windows: &Windows, window: u64| windows.sum(Timestamp(window * WINDOW_MS)).wait_ms;
        assert_eq!([0, 1, 2].map(|window| sum(&windows, window)), [70, 70, 0]);
        windows.at(Timestamp(WINDOW_MS)).add_wait(30);
        assert_eq!([1, 2, 3].map(|window| sum(&windows, window)), [100, 30, 0]);
        assert_eq!(windows.sum(Timestamp(WINDOW_MS)).wait_max_ms, 70);
    }

    #[test]
    fn covered_time_is_at_most_two_windows_and_not_before_the_start() {
        let seconds = |began, now| covered(Timestamp(began), Timestamp(now)).as_secs();
        assert_eq!(seconds(10_000, 40_000), 30);
        assert_eq!(seconds(0, 2 * WINDOW_MS + 1_000), WINDOW.as_secs() + 1);
    }
}
