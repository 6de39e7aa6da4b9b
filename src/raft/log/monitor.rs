//! What the log of one node measures, and what it knows of its disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::base::LogRateLimit;
use crate::base::clock::process_age;
use crate::base::histogram::Histogram;
use crate::raft::data_dir::space::DiskSpace;
use crate::raft::log::flush_stall::FlushStall;

/// A disk that needs longer for a flush is not fit for a log.
const SLOW: Duration = Duration::from_secs(1);
const CHECK_EVERY: Duration = Duration::from_millis(500);
static LINES: LogRateLimit = LogRateLimit::new(6);

/// Anybody may read it at any time without stopping the log.
#[derive(Debug, Default)]
pub struct LogMonitor {
    last_index: AtomicU64,
    /// From handing an append to the log's writer until it is on disk.
    pub flushes: Histogram,
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
