//! A disk in memory that outlives its node. Simulations cut its power, which loses what was not synced, and have it lie.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use latchd::base::BoxFuture;
use latchd::base::random::random_id;
use latchd::raft::{LogChange, StableStore, StoredLog};

/// What one simulated node has stored; clones are the same disk. A node that has ended may be started on it again.
#[derive(Clone)]
pub struct SimulatedDisk {
    id: [u8; 16],
    sync_ms: Arc<AtomicU64>,
    contents: Arc<Mutex<Contents>>,
}

#[derive(Default)]
struct Contents {
    log: StoredLog,
    /// Writes that a loss of power would take back, oldest first.
    unsynced: VecDeque<LogChange>,
    /// How many writes are in `log`.
    synced: u64,
    snapshot: Option<Bytes>,
}

impl SimulatedDisk {
    /// An empty disk that takes `sync` for every sync.
    pub fn new(sync: Duration) -> SimulatedDisk {
        let sync_ms = Arc::new(AtomicU64::new(sync.as_millis() as u64));
        SimulatedDisk { id: random_id(), sync_ms, contents: Arc::default() }
    }

    /// From now on every sync takes this long.
    pub fn set_sync(&self, sync: Duration) {
        self.sync_ms.store(sync.as_millis() as u64, Relaxed);
    }

    /// How many writes a loss of power could take back now.
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// The power is lost: of the writes that were not synced, the first `kept` have reached the disk all the same, and the
    /// others are gone. For a node that has ended.
    pub fn lose_unsynced(&self, kept: usize) {
        let mut contents = self.lock();
        contents.unsynced.truncate(kept);
        contents.sync_all();
    }

    /// The disk has lied: its newest `count` entries are gone although they were synced, and the node knows at its next
    /// start that it had them. For a node that has ended.
    pub fn lose_end(&self, count: usize) {
        let mut contents = self.lock();
        contents.sync_all();
        let log = &mut contents.log;
        let last = log.entries.last().map(|entry| entry.id.clone()).or_else(|| log.purged.clone());
        log.lost = last.max(log.lost.take());
        log.entries.truncate(log.entries.len().saturating_sub(count));
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("no panic while locked")
    }
}

impl Contents {
    fn written(&self) -> u64 {
        self.synced + self.unsynced.len() as u64
    }

    fn sync_all(&mut self) {
        self.sync_up_to(self.written());
    }

    /// The first `count` writes are synced.
    fn sync_up_to(&mut self, count: u64) {
        while self.synced < count
            && let Some(change) = self.unsynced.pop_front()
        {
            self.synced += 1;
            self.log_change(change);
        }
    }

    fn log_change(&mut self, change: LogChange) {
        let log = &mut self.log;
        match change {
            LogChange::Vote(vote) => log.vote = Some(vote),
            LogChange::Committed(id) => log.committed = Some(id),
            LogChange::Append(entries) => log.entries.extend(entries),
            LogChange::Truncate { from } => {
                log.entries.retain(|entry| entry.index < from);
                log.lost = None;
            }
            LogChange::Purge { index, id } => {
                log.entries.retain(|entry| entry.index > index);
                log.purged = Some(id);
            }
        }
    }
}

impl StableStore for SimulatedDisk {
    fn id(&self) -> [u8; 16] {
        self.id
    }

    fn load(&self) -> StoredLog {
        let mut contents = self.lock();
        contents.sync_all();
        contents.log.clone()
    }

    fn write(&self, change: LogChange) {
        let mut contents = self.lock();
        match change {
            // It needs no sync of its own.
            LogChange::Committed(_) => contents.log_change(change),
            // The snapshot behind it was synced, and everything before with it.
            LogChange::Purge { .. } => {
                contents.sync_all();
                contents.log_change(change);
            }
            change => contents.unsynced.push_back(change),
        }
    }

    fn sync(&self) -> BoxFuture<'static, ()> {
        let (disk, written) = (self.clone(), self.lock().written());
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(disk.sync_ms.load(Relaxed))).await;
            disk.lock().sync_up_to(written);
        })
    }

    fn snapshot(&self) -> Option<Bytes> {
        self.lock().snapshot.clone()
    }

    fn save_snapshot(&self, file: Bytes) {
        self.lock().snapshot = Some(file);
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDisk").field("id", &self.id).finish_non_exhaustive()
    }
}
