//! Cluster time on this node: what the leader stamps on entries, and what a follower knows of it.
//!
//! It is the table's `now` when the first entry of this leadership was applied, plus the leader's monotonic time since. A
//! follower takes it from the leader's answers.

use crate::base::clock::Stopwatch;
use crate::domain::Timestamp;
use crate::mutants::planted;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub struct ClusterClock {
    process: Stopwatch,
    /// Cluster time minus this process's age, in milliseconds.
    offset_ms: AtomicU64,
}

impl ClusterClock {
    pub fn start() -> ClusterClock {
        ClusterClock { process: Stopwatch::start(), offset_ms: AtomicU64::new(0) }
    }

    /// Since this process started.
    pub fn age(&self) -> Duration {
        self.process.age()
    }

    /// A leadership begins: time continues from the table's.
    pub fn resume_at(&self, now: Timestamp) {
        let age_ms = self.age_ms();
        // Wrapping: where the process is older than the table's time the offset is negative, and `now` wraps it back.
        self.offset_ms.store(now.0.wrapping_sub(age_ms), Ordering::Relaxed);
    }

    /// The leader answered `leader_now` to what this process asked at the age `asked`. The answer counts as old as the whole
    /// round trip, so that no remaining time is shown longer than it is.
    pub fn follow(&self, leader_now: Timestamp, asked: Duration) {
        self.offset_ms.store(leader_now.0.wrapping_sub(asked.as_millis() as u64), Ordering::Relaxed);
    }

    /// At most the present moment on the leader: a stamp is never later than what it stamps.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.offset_ms.load(Ordering::Relaxed).wrapping_add(self.age_ms()))
    }

    /// How long until `deadline` has strictly passed.
    pub fn until_past(&self, deadline: Timestamp) -> Duration {
        deadline.after_ms(1).since(self.now())
    }

    fn age_ms(&self) -> u64 {
        planted!("expiry-by-wall-clock" => return crate::base::clock::unix_seconds() * 1000);
        self.age().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_continues_from_the_time_of_the_table() {
        let clock = ClusterClock::start();
        clock.resume_at(Timestamp(5_000_000));
        let now = clock.now();
        assert!((5_000_000..5_001_000).contains(&now.0), "{now:?}");
        clock.resume_at(Timestamp(0));
        assert!(clock.now().0 < 1_000);
    }
}
