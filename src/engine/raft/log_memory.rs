//! The log of a node without a disk: a queue of entries, trimmed after every snapshot.
//!
//! On a simulated disk it outlives the node, and what was appended is safe only after a while: see `simulated.rs`.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::storage::RaftLogStorage;
use openraft::{OptionalSend, RaftLogReader};

use super::meters::Meters;
use super::types::{Entry, EntryPayload, LogFlushed, LogId, LogState, StorageError, TypeConfig, Vote};

/// A slow link is not taken up by one message for longer than a follower waits for the next heartbeat.
const MESSAGE_BYTES: usize = 1 << 20;

/// Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub(super) struct MemoryLog {
    inner: Arc<Mutex<Inner>>,
    meters: Arc<Meters>,
    /// How long a write takes; without one it is done at once.
    sync: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    /// Consecutive; the first one follows `purged` where anything was purged.
    entries: VecDeque<Entry>,
    /// What a loss of power would leave of the entries: those before this index.
    synced: u64,
}

impl MemoryLog {
    pub fn new(meters: Arc<Meters>) -> Self {
        Self { inner: Arc::default(), meters, sync: None }
    }

    /// Goes on where an earlier node on the same simulated disk has ended.
    pub fn on(inner: Arc<Mutex<Inner>>, sync: Duration, meters: Arc<Meters>) -> Self {
        let log = Self { inner, meters, sync: Some(sync) };
        log.meters.last_log_index.store(log.lock().last().map_or(0, |id| id.index), Relaxed);
        log
    }

    async fn written(&self) {
        if let Some(sync) = self.sync {
            tokio::time::sleep(sync).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No invariant spans a panic: every change below is a single call on one field.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn last(&self) -> Option<LogId> {
        self.entries.back().map(|entry| entry.log_id).or(self.purged)
    }

    pub fn is_empty(&self) -> bool {
        self.vote.is_none() && self.last().is_none()
    }

    /// The power is lost: what was not on the disk is gone.
    pub fn lose_unsynced(&mut self) {
        let keep = self.position(self.synced);
        self.entries.truncate(keep);
        self.committed = self.committed.min(self.last());
    }

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

/// The first entries of `entries` that go into one message: at least one, and no more bytes than that.
pub(super) fn one_message(
    entries: impl Iterator<Item = Result<Entry, StorageError>>,
) -> Result<Vec<Entry>, StorageError> {
    let (mut message, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        let entry = entry?;
        bytes += match &entry.payload {
            EntryPayload::Normal(payload) => payload.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        };
        if bytes > MESSAGE_BYTES && !message.is_empty() {
            break;
        }
        message.push(entry);
    }
    Ok(message)
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

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        let log = self.lock();
        one_message(log.entries.range(log.position(start)..log.position(end)).cloned().map(Ok))
    }
}

impl RaftLogStorage<TypeConfig> for MemoryLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState, StorageError> {
        let log = self.lock();
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: log.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.lock().vote = Some(*vote);
        self.written().await;
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
        let end = {
            let mut log = self.lock();
            // What a snapshot has replaced is not stored again.
            let next = log.purged.map_or(0, |id| id.index + 1);
            log.entries.extend(entries.into_iter().filter(|entry| entry.log_id.index >= next));
            log.last().map_or(0, |last| last.index + 1)
        };
        self.meters.last_log_index.store(end.saturating_sub(1), Relaxed);
        self.written().await;
        self.lock().synced = end;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        {
            let mut log = self.lock();
            let keep = log.position(log_id.index);
            log.entries.truncate(keep);
            log.synced = log.synced.min(log_id.index);
        }
        self.written().await;
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openraft::CommittedLeaderId;

    use super::*;

    #[test]
    fn a_message_is_bounded_by_bytes_and_never_empty() {
        let entries = |sizes: &[usize]| {
            let entry = |(index, size): (usize, &usize)| {
                let log_id = LogId::new(CommittedLeaderId::new(1, 1), index as u64);
                Ok(Entry { log_id, payload: EntryPayload::Normal(Bytes::from(vec![0; *size])) })
            };
            sizes.iter().enumerate().map(entry).collect::<Vec<_>>().into_iter()
        };
        let taken = |sizes: &[usize]| one_message(entries(sizes)).expect("entries").len();
        assert_eq!(taken(&[MESSAGE_BYTES - 1, 1, 1]), 2);
        assert_eq!(taken(&[MESSAGE_BYTES + 1, 1]), 1);
        assert_eq!(taken(&[1, MESSAGE_BYTES, 1]), 1);
        assert_eq!(taken(&[0; 1000]), 1000);
    }
}
