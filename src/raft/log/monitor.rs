//! What the log of one node measures, and what it knows of its disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::base::LogRateLimit;
use crate::base::clock::process_age;
use crate::base::histogram::Histogram;
use crate::raft::data_dir::space::DiskSpace;

/// A disk that needs longer for a flush is not fit for a log.
const SLOW: Duration = Duration::from_secs(1);
const CHECK_EVERY: Duration = Duration::from_millis(500);
static LINES: LogRateLimit = LogRateLimit::new(6);

/// Can be read at any time without stopping the log.
#[derive(Debug, Default)]
pub struct LogMonitor {
    last_index: AtomicU64,
    /// From handing an append to the log's writer until it is on disk.
    pub flushes: Histogram,
    last_flush: Mutex<Option<(Duration, Duration)>>,
    pub stall: FlushStall,
    pub space: DiskSpace,
}

impl LogMonitor {
    pub fn last_index(&self) -> u64 {
        self.last_index.load(Relaxed)
    }

    pub fn set_last_index(&self, index: u64) {
        self.last_index.store(index, Relaxed);
    }

    /// Returns the age of the process, for `flush_ended`.
    pub fn flush_began(&self) -> Duration {
        let now = process_age();
        self.stall.begin(now);
        now
    }

    pub fn flush_ended(&self, began: Duration) {
        let now = process_age();
        self.flushes.observe_duration(now.saturating_sub(began));
        self.stall.end(now);
        *self.last_flush.lock() = Some((began, now));
    }

    /// When the last flush began and ended, as ages of the process.
    pub fn last_flush(&self) -> Option<(Duration, Duration)> {
        *self.last_flush.lock()
    }
}

/// Warns while a flush takes long: it delays every answer, and another leader is elected before it ends. Runs for ever.
pub async fn warn_of_stalls(monitor: Arc<LogMonitor>) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let stalled = monitor.stall.duration(process_age());
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
