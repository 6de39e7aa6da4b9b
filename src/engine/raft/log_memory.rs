//! The log of a node without a disk: a queue of entries, trimmed after every snapshot.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::RaftLogStorage;
use openraft::{OptionalSend, RaftLogReader};

use super::meters::Meters;
use super::types::{Entry, LogFlushed, LogId, LogState, StorageError, TypeConfig, Vote};

/// Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub(super) struct MemoryLog {
    inner: Arc<Mutex<Inner>>,
    meters: Arc<Meters>,
}

#[derive(Default)]
struct Inner {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    /// Consecutive; the first one follows `purged` where anything was purged.
    entries: VecDeque<Entry>,
}

impl MemoryLog {
    pub fn new(meters: Arc<Meters>) -> Self {
        Self { inner: Arc::default(), meters }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No invariant spans a panic: every change below is a single call on one field.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// How many entries lie before `index`.
    fn position(&self, index: u64) -> usize {
        let first = self.entries.front().map_or(index, |entry| entry.log_id.index);
        usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX).min(self.entries.len())
    }
}

/// The half-open index range `[from, to)` that `range` describes.
pub(super) fn index_range(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (from, to.max(from))
}

impl RaftLogReader<TypeConfig> for MemoryLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let (from, to) = index_range(&range);
        let log = self.lock();
        Ok(log.entries.range(log.position(from)..log.position(to)).cloned().collect())
    }
}

impl RaftLogStorage<TypeConfig> for MemoryLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState, StorageError> {
        let log = self.lock();
        let last_log_id = log.entries.back().map(|entry| entry.log_id).or(log.purged);
        Ok(LogState { last_purged_log_id: log.purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.lock().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.lock().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut log = self.lock();
        // What a snapshot has replaced is not stored again.
        let next = log.purged.map_or(0, |id| id.index + 1);
        log.entries.extend(entries.into_iter().filter(|entry| entry.log_id.index >= next));
        if let Some(last) = log.entries.back() {
            self.meters.last_log_index.store(last.log_id.index, Relaxed);
        }
        drop(log);
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let mut log = self.lock();
        let keep = log.position(log_id.index);
        log.entries.truncate(keep);
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let mut log = self.lock();
        let gone = log.position(log_id.index + 1);
        log.entries.drain(..gone);
        let kept = log.entries.len();
        log.entries.shrink_to(2 * kept);
        log.purged = Some(log_id);
        Ok(())
    }
}
