//! Measurements of a node: its progress, its disk and its snapshots.

use std::time::Duration;

use crate::base::clock::process_age;
use crate::base::histogram::Distribution;
use crate::raft::node::RaftNode;

/// Where the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub last_log_index: u64,
    pub applied_index: u64,
    pub snapshot_index: u64,
    /// Bytes applied since the last snapshot, which is about what the log occupies.
    pub log_bytes: u64,
}

impl RaftNode {
    /// How long appends took until they were on disk; empty if the log is in memory.
    pub fn flushes(&self) -> Distribution {
        self.monitors().log.flushes.read()
    }

    /// Tells when the last append went to the disk, and when it was flushed, as ages of the process.
    pub fn last_flush(&self) -> impl Fn() -> Option<(Duration, Duration)> + Send + Sync + 'static {
        let log = self.monitors().log.clone();
        move || log.last_flush()
    }

    /// For how long an append has not been flushed.
    pub fn flush_stalled(&self) -> Duration {
        self.monitors().log.stall.duration(process_age())
    }

    /// Where the log stands; costs four loads.
    pub fn progress(&self) -> Progress {
        let monitors = self.monitors();
        Progress {
            last_log_index: monitors.log.last_index(),
            applied_index: monitors.applied.index(),
            snapshot_index: monitors.snapshots.snapshot_index(),
            log_bytes: monitors.snapshots.log_bytes(),
        }
    }

    /// The last entry that is no longer in the log, because a snapshot covers it.
    pub fn purged_index(&self) -> Option<u64> {
        match (self.raft(), self.standalone()) {
            (Some(raft), _) => raft.data_metrics().borrow().purged.map(|id| id.index),
            (None, standalone) => standalone?.log()?.purged_index(),
        }
    }

    /// Whether the disk was full at the start and still is: nothing can be written, so nothing changes.
    pub fn is_disk_full(&self) -> bool {
        self.monitors().log.space.is_full()
    }

    /// Waits for something that needs the disk, or until the disk is full.
    pub async fn unless_disk_full<T>(&self, wait: impl Future<Output = T>) {
        tokio::select! {
            _ = wait => {}
            () = self.monitors().log.space.until_full() => {}
        }
    }

    /// How much disk space the next snapshot takes, and the log until then.
    pub fn reserve_bytes(&self) -> u64 {
        self.monitors().snapshots.reserve_bytes()
    }

    /// Whether the last snapshot did not fit on the disk.
    pub fn is_snapshot_unfit(&self) -> bool {
        self.monitors().snapshots.is_unfit()
    }
}
