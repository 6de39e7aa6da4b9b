//! The log of a node without a data directory: a queue of entries in memory, trimmed after every snapshot.
//!
//! On a [`StableStore`] each change is written there too, so that the log outlives the node, and an append is answered
//! when the store has synced it.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

use bytes::Bytes;
use openraft::storage::RaftLogStorage;
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::raft::codec::{Wire, decode, encode};
use crate::raft::interface::{LogChange, StableStore, StoredEntry, StoredLog};
use crate::raft::log::monitor::LogMonitor;
use crate::raft::log::range::{index_range, one_message};
use crate::raft::log::writer::OnFlushed;
use crate::raft::types::{
    LogEntry, LogFlushed, LogId, LogState, NodeId, StorageError, TypeConfig, Vote, vote_at_start,
};

/// Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub struct MemoryLog {
    contents: Arc<Mutex<LogContents>>,
    pub monitor: Arc<LogMonitor>,
    /// The node that runs on this log, if one does.
    own: Option<NodeId>,
    stable: Option<StableWriter>,
}

#[derive(Debug, Default)]
struct LogContents {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    /// Consecutive; the first one follows `purged` where anything was purged.
    entries: VecDeque<LogEntry>,
    /// The newest entry of an end that was lost although it was synced.
    lost: Option<LogId>,
}

#[derive(Clone)]
struct StableWriter {
    store: Arc<dyn StableStore>,
    waiters: mpsc::UnboundedSender<OnFlushed>,
}

impl MemoryLog {
    /// On a store, goes on where an earlier node on it has ended.
    pub fn open(
        store: Option<Arc<dyn StableStore>>,
        own: Option<NodeId>,
        monitor: Arc<LogMonitor>,
    ) -> io::Result<Self> {
        let contents = store.as_ref().map(|store| LogContents::read(store.load())).transpose()?.unwrap_or_default();
        monitor.set_last_index(contents.last().map_or(0, |id| id.index));
        let stable = store.map(|store| {
            let (waiters, queue) = mpsc::unbounded_channel();
            tokio::spawn(sync_all(store.clone(), queue));
            StableWriter { store, waiters }
        });
        Ok(Self { contents: Arc::new(Mutex::new(contents)), monitor, own, stable })
    }

    pub fn has_store(&self) -> bool {
        self.stable.is_some()
    }

    pub fn is_empty(&self) -> bool {
        let contents = self.contents.lock();
        contents.vote.is_none() && contents.last().is_none()
    }

    pub fn purged_index(&self) -> Option<u64> {
        self.contents.lock().purged.map(|id| id.index)
    }

    /// The newest entry that was synced once, if the log has lost it.
    pub fn lost_end(&self) -> Option<LogId> {
        let contents = self.contents.lock();
        contents.lost.filter(|lost| contents.last() < Some(*lost))
    }

    /// Writes a change to the store, if there is one, and calls `synced` when it is synced.
    fn write(&self, change: impl FnOnce() -> LogChange, synced: impl FnOnce() + Send + 'static) {
        let Some(stable) = &self.stable else { return synced() };
        stable.store.write(change());
        // Where the task that syncs is gone, so is the node.
        drop(stable.waiters.send(Box::new(synced)));
    }

    /// Appends, and calls `flushed` when the store has synced the entries; at once without a store.
    pub fn append_entries(&self, entries: impl IntoIterator<Item = LogEntry>, flushed: impl FnOnce() + Send + 'static) {
        let appended = {
            let mut log = self.contents.lock();
            let before = log.entries.len();
            // What a snapshot has replaced is not stored again.
            let next = log.purged.map_or(0, |id| id.index + 1);
            log.entries.extend(entries.into_iter().filter(|entry| entry.log_id.index >= next));
            self.monitor.set_last_index(log.last().map_or(0, |last| last.index));
            log.entries.range(before..).filter(|_| self.has_store()).map(stored).collect()
        };
        self.write(|| LogChange::Append(appended), flushed);
    }

    async fn write_and_wait(&self, change: impl FnOnce() -> LogChange) {
        let (sender, synced) = oneshot::channel();
        // Who waits is gone when the node shuts down.
        self.write(change, || _ = sender.send(()));
        drop(synced.await);
    }

    /// Writes a change without waiting for it.
    fn write_unsynced(&self, change: impl FnOnce() -> LogChange) {
        if let Some(stable) = &self.stable {
            stable.store.write(change());
        }
    }
}

impl LogContents {
    fn read(stored: StoredLog) -> io::Result<Self> {
        let entry = |entry: StoredEntry| Ok(LogEntry { log_id: decode(&entry.id)?, payload: decode(&entry.payload)? });
        let mut contents = Self {
            vote: read(stored.vote)?,
            committed: read(stored.committed)?,
            purged: read(stored.purged)?,
            entries: stored.entries.into_iter().map(entry).collect::<io::Result<_>>()?,
            lost: read(stored.lost)?,
        };
        contents.committed = contents.committed.min(contents.last());
        Ok(contents)
    }

    fn last(&self) -> Option<LogId> {
        self.entries.back().map(|entry| entry.log_id).or(self.purged)
    }

    /// How many entries lie before `index`.
    fn position(&self, index: u64) -> usize {
        let first = self.entries.front().map_or(index, |entry| entry.log_id.index);
        usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX).min(self.entries.len())
    }
}

fn read<T: Wire>(stored: Option<Bytes>) -> io::Result<Option<T>> {
    stored.map(|bytes| decode(&bytes)).transpose()
}

fn stored(entry: &LogEntry) -> StoredEntry {
    StoredEntry { index: entry.log_id.index, id: encode(&entry.log_id), payload: encode(&entry.payload) }
}

/// Everything that waits at one moment shares a sync, as on a real disk.
async fn sync_all(store: Arc<dyn StableStore>, mut queue: mpsc::UnboundedReceiver<OnFlushed>) {
    while let Some(first) = queue.recv().await {
        let mut waiters = vec![first];
        while let Ok(next) = queue.try_recv() {
            waiters.push(next);
        }
        store.sync().await;
        waiters.into_iter().for_each(|synced| synced());
    }
}

impl RaftLogReader<TypeConfig> for MemoryLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, StorageError> {
        let (from, to) = index_range(&range);
        let log = self.contents.lock();
        Ok(log.entries.range(log.position(from)..log.position(to)).cloned().collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, StorageError> {
        let log = self.contents.lock();
        one_message(log.entries.range(log.position(start)..log.position(end)).cloned().map(Ok))
    }
}

impl RaftLogStorage<TypeConfig> for MemoryLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState, StorageError> {
        let log = self.contents.lock();
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: log.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.contents.lock().vote = Some(*vote);
        self.write_and_wait(|| LogChange::Vote(encode(vote))).await;
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(vote_at_start(self.contents.lock().vote, self.own))
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.contents.lock().committed = committed;
        if let Some(committed) = committed {
            self.write_unsynced(|| LogChange::Committed(encode(&committed)));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.contents.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.append_entries(entries, || callback.log_io_completed(Ok(())));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        {
            let mut log = self.contents.lock();
            let keep = log.position(log_id.index);
            // The leader has other entries there: what was lost is not needed.
            log.lost = None;
            log.entries.truncate(keep);
        }
        self.write_and_wait(|| LogChange::Truncate { from: log_id.index }).await;
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        {
            let mut log = self.contents.lock();
            let gone = log.position(log_id.index + 1);
            log.entries.drain(..gone);
            let kept = log.entries.len();
            log.entries.shrink_to(2 * kept);
            log.purged = Some(log_id);
        }
        self.write_unsynced(|| LogChange::Purge { index: log_id.index, id: encode(&log_id) });
        Ok(())
    }
}
