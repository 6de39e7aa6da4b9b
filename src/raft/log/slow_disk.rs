//! Says that the disk is slow, while it is: a flush that takes long holds up every answer, and the next leader is elected
//! before it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::base::LogRateLimit;
use crate::base::clock::process_age;
use crate::raft::meters::Meters;

/// A disk that needs longer for a flush is no disk for a log.
const SLOW: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(500);
static LINES: LogRateLimit = LogRateLimit::new(6);

/// Since when the disk has not finished what it was given.
#[derive(Debug, Default)]
pub struct SlowDisk {
    /// Milliseconds of the process's age, and one; 0 where nothing is under way.
    since: AtomicU64,
    pending: AtomicU64,
}

impl SlowDisk {
    pub fn begins(&self, now: Duration) {
        if self.pending.fetch_add(1, Relaxed) == 0 {
            self.restart(now);
        }
    }

    /// Of those under way the oldest has ended: appends are flushed in order.
    pub fn ended(&self, now: Duration) {
        match self.pending.fetch_sub(1, Relaxed) {
            1 => self.since.store(0, Relaxed),
            _ => self.restart(now),
        }
    }

    fn restart(&self, now: Duration) {
        self.since.store(now.as_millis() as u64 + 1, Relaxed);
    }

    /// For how long the disk has not finished anything although it has something to do.
    pub fn stalled_for(&self, now: Duration) -> Duration {
        match self.since.load(Relaxed) {
            0 => Duration::ZERO,
            since => now.saturating_sub(Duration::from_millis(since - 1)),
        }
    }
}

/// Runs for ever.
pub async fn watch(meters: Arc<Meters>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let stalled = meters.slow_disk.stalled_for(process_age());
        if stalled > SLOW
            && let Some(held_back) = LINES.admit(process_age())
        {
            let seconds = stalled.as_secs_f64();
            tracing::warn!(
                seconds,
                held_back,
                "the data disk is slow: a flush of the log has taken {seconds:.1} s and goes on; nothing is answered before \
                 it ends (latchd_log_flush_seconds, latchd_log_flush_stalled_seconds)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_stalled_since_it_finished_something_last() {
        let (disk, at) = (SlowDisk::default(), Duration::from_secs);
        assert_eq!(disk.stalled_for(at(9)), at(0));
        disk.begins(at(0));
        disk.begins(at(2));
        assert_eq!(disk.stalled_for(at(3)), at(3));
        disk.ended(at(4));
        assert_eq!(disk.stalled_for(at(5)), at(1), "the other goes on");
        disk.ended(at(6));
        assert_eq!(disk.stalled_for(at(99)), at(0));
    }
}
