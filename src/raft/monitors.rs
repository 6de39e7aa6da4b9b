//! The numbers that the parts of one node keep, each its own; they can be read at any time.

use std::sync::Arc;

use crate::raft::applied::Applied;
use crate::raft::log::monitor::LogMonitor;
use crate::raft::snapshot::policy::SnapshotPolicy;

/// Clones share the numbers.
#[derive(Debug, Default, Clone)]
pub struct Monitors {
    pub log: Arc<LogMonitor>,
    pub snapshots: Arc<SnapshotPolicy>,
    pub applied: Arc<Applied>,
}

impl Monitors {
    pub fn new(snapshot_log_bytes: u64, kept_bytes: u64) -> Monitors {
        Monitors { snapshots: Arc::new(SnapshotPolicy::new(snapshot_log_bytes, kept_bytes)), ..Monitors::default() }
    }
}
