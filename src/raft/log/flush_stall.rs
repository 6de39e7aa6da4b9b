//! For how long the disk has not finished a flush.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Since when the disk has not finished a flush that it was given.
#[derive(Debug, Default)]
pub struct FlushStall {
    /// Milliseconds of the process's age, plus one; 0 while no flush is under way.
    since: AtomicU64,
    pending: AtomicU64,
}

impl FlushStall {
    pub fn begin(&self, now: Duration) {
        if self.pending.fetch_add(1, Relaxed) == 0 {
            self.restart(now);
        }
    }

    /// The oldest flush under way has ended: appends are flushed in order.
    pub fn end(&self, now: Duration) {
        match self.pending.fetch_sub(1, Relaxed) {
            1 => self.since.store(0, Relaxed),
            _ => self.restart(now),
        }
    }

    fn restart(&self, now: Duration) {
        self.since.store(now.as_millis() as u64 + 1, Relaxed);
    }

    /// For how long the disk has finished nothing although a flush is under way.
    pub fn duration(&self, now: Duration) -> Duration {
        match self.since.load(Relaxed) {
            0 => Duration::ZERO,
            since => now.saturating_sub(Duration::from_millis(since - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stall_lasts_since_last_finished_flush() {
        let (disk, at) = (FlushStall::default(), Duration::from_secs);
        assert_eq!(disk.duration(at(9)), at(0));
        disk.begin(at(0));
        disk.begin(at(2));
        assert_eq!(disk.duration(at(3)), at(3));
        disk.end(at(4));
        assert_eq!(disk.duration(at(5)), at(1), "the other flush goes on");
        disk.end(at(6));
        assert_eq!(disk.duration(at(99)), at(0));
    }
}
