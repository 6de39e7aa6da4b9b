//! The only file that reads a clock.
//!
//! Cluster time is the table's `now` when this leadership's first entry was applied, plus the leader's monotonic time
//! since; a follower knows it from the leader's answers. The wall clock has two uses, neither of them a decision about a
//! lock: where the fencing tokens and event ids of a leadership go on, and the moments in RaftLock's answers.

use crate::domain::Timestamp;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Cluster time as this node may stamp it, or as it is told. Monotonic time is the runtime's, which a simulation moves.
pub struct Clock {
    started: Instant,
    /// Cluster time minus this process's age, in milliseconds.
    offset_ms: AtomicU64,
}

impl Clock {
    pub fn start() -> Clock {
        Clock { started: Instant::now(), offset_ms: AtomicU64::new(0) }
    }

    /// Since this process started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// A leadership begins: from here on time goes on from the table's.
    pub fn resume_at(&self, now: Timestamp) {
        let age_ms = self.age_ms();
        // Wrapping: where the process is older than the table's time the offset is negative, and `now` wraps it back.
        self.offset_ms.store(now.0.wrapping_sub(age_ms), Ordering::Relaxed);
    }

    /// The leader answered `leader_now` to what this process asked at the age `asked`. The answer may be as old as the
    /// whole round trip: taken as if it were, so that no remaining time is shown longer than it is.
    pub fn follow(&self, leader_now: Timestamp, asked: Duration) {
        self.offset_ms.store(leader_now.0.wrapping_sub(asked.as_millis() as u64), Ordering::Relaxed);
    }

    /// A floor of the present moment on the leader: a stamp is never later than what it stamps.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.offset_ms.load(Ordering::Relaxed).wrapping_add(self.age_ms()))
    }

    /// How long until `deadline` has strictly passed.
    pub fn until_past(&self, deadline: Timestamp) -> Duration {
        deadline.after_ms(1).since(self.now())
    }

    fn age_ms(&self) -> u64 {
        if crate::mutants::on("expiry-by-wall-clock") {
            return unix_seconds() * 1000;
        }
        self.age().as_millis() as u64
    }
}

thread_local! {
    /// Set by a simulation, which runs on one thread.
    static PRETENDED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Makes the wall clock of this thread stand still. For simulations only.
pub fn pretend_unix_seconds(seconds: u64) {
    PRETENDED.set(Some(seconds));
}

/// Seconds since 1970 by the wall clock.
pub fn unix_seconds() -> u64 {
    unix_time().as_secs()
}

/// Since 1970 by the wall clock.
pub fn unix_time() -> Duration {
    match PRETENDED.get() {
        Some(seconds) => Duration::from_secs(seconds),
        None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    }
}

/// A moment as RFC 3339 writes it, for people.
pub fn rfc3339(unix_seconds: u64) -> String {
    // The last second of the year 9999, beyond which there is no such text.
    let time = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(253_402_300_799));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Since this process first asked: for rates and throttles outside the lock table.
pub fn process_age() -> Duration {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_where_the_table_stands() {
        let clock = Clock::start();
        clock.resume_at(Timestamp(5_000_000));
        let now = clock.now();
        assert!((5_000_000..5_001_000).contains(&now.0), "{now:?}");
        clock.resume_at(Timestamp(0));
        assert!(clock.now().0 < 1_000);
    }
}
