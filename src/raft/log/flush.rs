//! What happens when a flush of the log has ended.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::base::clock::process_age;
use crate::base::fatal;
use crate::mutants::planted;
use crate::raft::log::monitor::LogMonitor;
use crate::raft::log::position::DurablePosition;
use crate::raft::types::{LogFlushed, LogId};

/// Told when a write is on disk. A failed write ends the process first.
pub enum FlushCallback {
    /// openraft waits for an append; the timer measures it, and the position moves up to its last entry.
    Append(LogFlushed, FlushTimer, Option<(LogId, Arc<DurablePosition>)>),
    Waiter(oneshot::Sender<()>),
    Nobody,
}

impl raft_log::Callback for FlushCallback {
    fn send(self, result: io::Result<()>) {
        let result = planted!("failed-flush-ignored", result => Ok(()));
        result.unwrap_or_else(|error| fatal::abort("cannot write the log", &error));
        #[cfg(feature = "mutants")]
        std::thread::sleep(crate::mutants::flush_delay());
        match self {
            FlushCallback::Append(callback, timer, reached) => {
                timer.end();
                reached.into_iter().for_each(|(last, position)| position.advance(last));
                callback.log_io_completed(Ok(()));
            }
            // The waiter is gone when the node shuts down; the write is safe all the same.
            FlushCallback::Waiter(sender) => drop(sender.send(())),
            FlushCallback::Nobody => {}
        }
    }
}

/// A flush under way.
pub struct FlushTimer {
    began: Duration,
    monitor: Arc<LogMonitor>,
}

impl FlushTimer {
    pub fn begin(monitor: &Arc<LogMonitor>) -> Self {
        let began = process_age();
        monitor.stall.begin(began);
        Self { began, monitor: monitor.clone() }
    }

    pub fn end(self) {
        let now = process_age();
        self.monitor.flushes.observe_duration(now.saturating_sub(self.began));
        self.monitor.stall.end(now);
    }
}
