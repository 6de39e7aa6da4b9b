//! A disk in memory that outlives its node: for simulations, which crash nodes and cut their power.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::base::random;
use crate::raft::log::memory::{Inner, MemoryLog};
use crate::raft::meters::Meters;
use crate::raft::types::{LogId, SnapshotMeta};

/// What one simulated node has stored; clones are the same disk. A node that has ended may be started on it again.
#[derive(Clone)]
pub struct SimulatedDisk {
    store_id: [u8; 16],
    sync_ms: Arc<AtomicU64>,
    log: Arc<Mutex<Inner>>,
    snapshot: Arc<Mutex<Option<(SnapshotMeta, Bytes)>>>,
}

impl SimulatedDisk {
    /// An empty disk that takes `sync` for every write.
    pub fn new(sync: Duration) -> SimulatedDisk {
        let sync_ms = Arc::new(AtomicU64::new(sync.as_millis() as u64));
        SimulatedDisk { store_id: random::random_id(), sync_ms, log: Arc::default(), snapshot: Arc::default() }
    }

    /// From now on every write takes this long.
    pub fn set_sync(&self, sync: Duration) {
        self.sync_ms.store(sync.as_millis() as u64, Relaxed);
    }

    /// How many writes a loss of power could take back now.
    pub fn unsynced(&self) -> usize {
        lock(&self.log).unsynced()
    }

    /// What is left after the power was lost: of the writes that were not synced, the first `kept` have reached the
    /// disk all the same, and the others are gone. For a node that has ended.
    pub fn lose_unsynced(&self, kept: usize) {
        lock(&self.log).lose_unsynced(kept);
    }

    /// What is left when the disk has lied: its newest `count` entries are gone although they were synced, and the node
    /// knows at its next start that it had them. For a node that has ended.
    pub fn lose_end(&self, count: usize) {
        lock(&self.log).lose_end(count);
    }

    pub(in crate::raft) fn lost_end(&self) -> Option<LogId> {
        lock(&self.log).lost_end()
    }

    pub(in crate::raft) fn sync_time(&self) -> Duration {
        Duration::from_millis(self.sync_ms.load(Relaxed))
    }

    /// The name of the directory, which the node says with each hello.
    pub fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    pub(in crate::raft) fn is_empty(&self) -> bool {
        lock(&self.log).is_empty() && lock(&self.snapshot).is_none()
    }

    pub(in crate::raft) fn log(&self, meters: &Arc<Meters>) -> MemoryLog {
        MemoryLog::on(self, self.log.clone(), meters.clone())
    }

    pub(in crate::raft) fn snapshot(&self) -> Option<(SnapshotMeta, Bytes)> {
        lock(&self.snapshot).clone()
    }

    pub(in crate::raft) fn keep_snapshot(&self, meta: &SnapshotMeta, content: Bytes) {
        *lock(&self.snapshot) = Some((meta.clone(), content));
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDisk").field("store_id", &self.store_id).finish_non_exhaustive()
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
