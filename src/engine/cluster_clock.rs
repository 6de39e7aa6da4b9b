//! Cluster time on this node: what the leader stamps on entries, and what a follower knows of it.
//!
//! It is the table's `now` when the first entry of this leadership was applied, plus the leader's monotonic time since. A
//! follower takes it from the leader's answers. The wall clock decides only where a leadership's fencing tokens begin.

use crate::base::clock;
use crate::base::clock::{Stopwatch, check_wall_clock};
use crate::domain::{Timestamp, Token};
use crate::mutants::planted;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub struct ClusterClock {
    process: Stopwatch,
    /// Cluster time minus this process's age, in milliseconds.
    offset_ms: AtomicU64,
    /// A lower bound of the stamp of the entry that is on its way into this leader's table; the end of time without one.
    unapplied_ms: AtomicU64,
}

impl ClusterClock {
    pub fn start() -> ClusterClock {
        let (offset_ms, unapplied_ms) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        ClusterClock { process: Stopwatch::start(), offset_ms, unapplied_ms }
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

    /// The stamp of an entry that is made now. There is one at a time, until [`ClusterClock::stamp_applied`].
    pub fn stamp(&self) -> Timestamp {
        // First, so that who finds no entry here has looked at the clock before this one does.
        self.unapplied_ms.store(self.now().0, Ordering::SeqCst);
        self.now()
    }

    /// The entry that was stamped last is in the table.
    pub fn stamp_applied(&self) {
        self.unapplied_ms.store(u64::MAX, Ordering::SeqCst);
    }

    /// On the leader: no entry that is not in its table at this moment has an earlier stamp.
    pub fn unapplied_from(&self) -> Timestamp {
        let now = self.now();
        now.min(Timestamp(self.unapplied_ms.load(Ordering::SeqCst)))
    }

    /// How long until `deadline` has strictly passed.
    pub fn until_past(&self, deadline: Timestamp) -> Duration {
        deadline.after_ms(1).since(self.now())
    }

    fn age_ms(&self) -> u64 {
        planted!("expiry-by-wall-clock" => return clock::unix_time().as_secs() * 1000);
        self.age().as_millis() as u64
    }
}

/// The first token of a new table. Its event ids begin there, too.
pub fn first_token() -> u64 {
    let unix_ms = u64::try_from(clock::unix_time().as_millis()).unwrap_or(u64::MAX);
    unix_ms.saturating_mul(Token::PER_MS)
}

/// The floor for tokens of a leadership that follows this epoch. A later leadership sets none if its clock is implausible.
pub fn first_token_of(epoch: u64) -> u64 {
    if epoch == 0 || check_wall_clock(false).is_ok() { first_token() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::YEAR_2100;

    #[test]
    fn time_continues_from_the_time_of_the_table() {
        let clock = ClusterClock::start();
        clock.resume_at(Timestamp(5_000_000));
        let now = clock.now();
        assert!((5_000_000..5_001_000).contains(&now.0), "{now:?}");
        clock.resume_at(Timestamp(0));
        assert!(clock.now().0 < 1_000);
    }

    #[test]
    fn entry_on_its_way_holds_back_what_readers_may_count_from() {
        let clock = ClusterClock::start();
        clock.resume_at(Timestamp(1_000));
        let stamp = clock.stamp();
        while clock.now() == stamp {
            std::hint::spin_loop();
        }
        assert!(clock.unapplied_from() <= stamp);
        clock.stamp_applied();
        assert!(clock.unapplied_from() > stamp);
    }

    #[test]
    fn new_table_begins_at_the_milliseconds_of_the_clock() {
        clock::set_wall_clock(Box::new(|| Duration::from_secs(1_800_000_000)));
        assert_eq!(first_token(), 1_800_000_000_000 << 10);
        assert!(first_token() < 1 << 53);
    }

    #[test]
    fn later_leadership_ignores_an_implausible_clock() {
        for (unix_seconds, believed) in [(0, false), (1_800_000_000, true), (YEAR_2100, false), (8_835_955_200, false)]
        {
            clock::set_wall_clock(Box::new(move || Duration::from_secs(unix_seconds)));
            assert_eq!(first_token_of(1), if believed { first_token() } else { 0 }, "{unix_seconds}");
            assert_eq!(first_token_of(0), first_token(), "the start of a new table has been refused or told");
        }
    }
}
