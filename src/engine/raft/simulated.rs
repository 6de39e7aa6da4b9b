//! A disk in memory that outlives its node: for simulations, which crash nodes and cut their power.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::log_memory::{Inner, MemoryLog};
use super::meters::Meters;
use super::types::SnapshotMeta;
use crate::engine::random;

/// What one simulated node has stored; clones are the same disk. A node that has ended may be started on it again.
#[derive(Clone)]
pub struct SimulatedDisk {
    store_id: [u8; 16],
    sync: Duration,
    log: Arc<Mutex<Inner>>,
    snapshot: Arc<Mutex<Option<(SnapshotMeta, Bytes)>>>,
}

impl SimulatedDisk {
    /// An empty disk that takes `sync` for every write.
    pub fn new(sync: Duration) -> SimulatedDisk {
        SimulatedDisk { store_id: random::random_id(), sync, log: Arc::default(), snapshot: Arc::default() }
    }

    /// What is left after the power was lost: entries that were appended, and not synced, are gone. For a node that
    /// has ended.
    pub fn lose_unsynced(&self) {
        lock(&self.log).lose_unsynced();
    }

    pub(super) fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.log).is_empty() && lock(&self.snapshot).is_none()
    }

    pub(super) fn log(&self, meters: &Arc<Meters>) -> MemoryLog {
        MemoryLog::on(self.log.clone(), self.sync, meters.clone())
    }

    pub(super) fn snapshot(&self) -> Option<(SnapshotMeta, Bytes)> {
        lock(&self.snapshot).clone()
    }

    pub(super) fn keep_snapshot(&self, meta: &SnapshotMeta, content: Bytes) {
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
