//! Counters shared by the stores, the state machine and the node, and the rule that asks for a snapshot.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::sync::{Notify, watch};

use super::Progress;

/// What an entry costs in the log beyond its payload: record type, log id, header, checksum and the commit record.
const ENTRY_OVERHEAD_BYTES: u64 = 84;

/// Counters that anybody may read at any time without stopping the log.
#[derive(Debug, Default)]
pub(super) struct Meters {
    pub last_log_index: AtomicU64,
    pub applied_index: AtomicU64,
    pub snapshot_index: AtomicU64,
    snapshot_log_bytes: u64,
    log_bytes: AtomicU64,
    last_snapshot_bytes: AtomicU64,
    /// Asked for, and not begun yet.
    wanted: AtomicBool,
    building: AtomicBool,
    wanted_or_begun: Notify,
    /// The same as `applied_index`, for those who wait for it.
    applied: watch::Sender<u64>,
}

impl Meters {
    pub fn new(snapshot_log_bytes: u64) -> Self {
        Self { snapshot_log_bytes, ..Self::default() }
    }

    pub fn progress(&self) -> Progress {
        Progress {
            last_log_index: self.last_log_index.load(Relaxed),
            applied_index: self.applied_index.load(Relaxed),
            snapshot_index: self.snapshot_index.load(Relaxed),
            log_bytes: self.log_bytes.load(Relaxed),
        }
    }

    /// Counts an applied entry and asks for a snapshot when the log has grown enough.
    ///
    /// Enough is `snapshot_log_bytes`, or the size of the last snapshot where that is more: a snapshot is then never
    /// written for less log than its own size, so that all snapshots together cost at most as much as the log itself,
    /// however large the state is. (With a fixed step, a large state would be rewritten again and again.)
    pub fn entry_applied(&self, index: u64, payload_bytes: usize) {
        self.applied_index.store(index, Relaxed);
        let added = payload_bytes as u64 + ENTRY_OVERHEAD_BYTES;
        let log_bytes = self.log_bytes.fetch_add(added, Relaxed) + added;
        let enough = self.snapshot_log_bytes.max(self.last_snapshot_bytes.load(Relaxed));
        if log_bytes > enough && !self.building.load(Relaxed) && !self.wanted.swap(true, Relaxed) {
            self.wanted_or_begun.notify_one();
        }
    }

    /// Everything up to `index` is applied, or is in a snapshot that was installed: told once for many entries.
    pub fn applied_up_to(&self, index: u64) {
        self.applied_index.store(index, Relaxed);
        self.applied.send_replace(index);
    }

    /// Resolves when everything up to `index` is applied.
    pub async fn applied(&self, index: u64) {
        // The sender is part of this value: waiting cannot fail.
        drop(self.applied.subscribe().wait_for(|applied| *applied >= index).await);
    }

    /// Whether a snapshot should be built that has not begun.
    pub fn snapshot_wanted(&self) -> bool {
        self.wanted.load(Relaxed)
    }

    /// Resolves soon after the answer of `snapshot_wanted` has changed.
    pub async fn snapshot_wanted_changed(&self) {
        self.wanted_or_begun.notified().await;
    }

    /// The state up to the last applied entry is frozen; entries from here on belong to the next snapshot.
    pub fn snapshot_started(&self) {
        self.building.store(true, Relaxed);
        self.log_bytes.store(0, Relaxed);
        self.wanted.store(false, Relaxed);
        self.wanted_or_begun.notify_one();
    }

    pub fn snapshot_ended(&self, index: u64, bytes: u64) {
        self.snapshot_index.store(index, Relaxed);
        self.last_snapshot_bytes.store(bytes, Relaxed);
        self.building.store(false, Relaxed);
    }
}
