//! The log of a node without a disk: a queue of entries, trimmed after every snapshot.
//!
//! On a simulated disk it outlives the node, and what was written is safe only after a while: see `simulated.rs`.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::RaftLogStorage;
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::{mpsc, oneshot};

use crate::raft::meters::Meters;
use crate::raft::simulated::SimulatedDisk;
use crate::raft::types::{
    EntryPayload, LogEntry, LogFlushed, LogId, LogState, NodeId, StorageError, TypeConfig, Vote, vote_at_start,
};
use crate::raft::unsynced::{Unsynced, Write};

/// A slow link is not taken up by one message for longer than a follower waits for the next heartbeat.
const MESSAGE_BYTES: usize = 1 << 20;

/// Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub struct MemoryLog {
    inner: Arc<Mutex<Inner>>,
    meters: Arc<Meters>,
    /// Whose log it is, where a node runs on it.
    own: Option<NodeId>,
    /// Makes the writes safe; without one they are so at once.
    writer: Option<mpsc::UnboundedSender<Flush>>,
}

/// Who waits until so many writes are safe.
struct Flush {
    writes: u64,
    done: Done,
}

enum Done {
    Appended(LogFlushed),
    Told(oneshot::Sender<()>),
}

#[derive(Debug, Default)]
pub struct Inner {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    /// Consecutive; the first one follows `purged` where anything was purged.
    entries: VecDeque<LogEntry>,
    unsynced: Unsynced,
    /// The newest entry of an end that was lost although it was safe.
    lost: Option<LogId>,
}

impl MemoryLog {
    pub fn new(meters: Arc<Meters>) -> Self {
        Self { inner: Arc::default(), meters, own: None, writer: None }
    }

    /// The same log as that of `node`, which is about to run on it.
    pub fn of(self, node: NodeId) -> Self {
        Self { own: Some(node), ..self }
    }

    /// Goes on where an earlier node on the same simulated disk has ended; what it finds is made safe before it is used.
    pub fn on(disk: &SimulatedDisk, inner: Arc<Mutex<Inner>>, meters: Arc<Meters>) -> Self {
        let (writer, queue) = mpsc::unbounded_channel();
        tokio::spawn(write(disk.clone(), inner.clone(), queue));
        let log = Self { inner, meters, own: None, writer: Some(writer) };
        {
            let mut inner = log.lock();
            let all = inner.unsynced.last();
            inner.unsynced.synced_up_to(all);
            log.meters.last_log_index.store(inner.last().map_or(0, |id| id.index), Relaxed);
        }
        log
    }

    /// Has a write made safe that was just made.
    fn flush(&self, write: Write, done: Done) {
        let Some(writer) = &self.writer else { return done.tell() };
        let writes = self.lock().unsynced.note(write);
        // Where the writer is gone, so is the node.
        drop(writer.send(Flush { writes, done }));
    }

    /// The same, and waits for it.
    async fn written(&self, write: Write) {
        let (sender, told) = oneshot::channel();
        self.flush(write, Done::Told(sender));
        drop(told.await);
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

    /// The power is lost: of what was not yet safe only the first `kept` writes have reached the disk.
    pub fn lose_unsynced(&mut self, kept: usize) {
        while self.unsynced.count() > kept
            && let Some(write) = self.unsynced.take_last()
        {
            match write {
                Write::Vote(before) => self.vote = before,
                Write::Append { from } => self.entries.truncate(self.position(from)),
                Write::Truncate(cut) => {
                    let next = self.last().map_or(0, |id| id.index + 1);
                    self.entries.extend(cut.into_iter().filter(|entry| entry.log_id.index >= next));
                }
            }
        }
        self.committed = self.committed.min(self.last());
    }

    pub fn lose_end(&mut self, count: usize) {
        self.lost = self.lost.max(self.last());
        self.entries.truncate(self.entries.len().saturating_sub(count));
        self.committed = self.committed.min(self.last());
    }

    pub fn lost_end(&self) -> Option<LogId> {
        self.lost.filter(|lost| self.last() < Some(*lost))
    }

    pub fn unsynced(&self) -> usize {
        self.unsynced.count()
    }

    /// How many entries lie before `index`.
    fn position(&self, index: u64) -> usize {
        let first = self.entries.front().map_or(index, |entry| entry.log_id.index);
        usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX).min(self.entries.len())
    }
}

impl Done {
    fn tell(self) {
        match self {
            Done::Appended(callback) => callback.log_io_completed(Ok(())),
            // Nobody waits any more where the node shuts down.
            Done::Told(sender) => drop(sender.send(())),
        }
    }
}

/// Everything that waits at one moment shares a flush, as on a real disk.
async fn write(disk: SimulatedDisk, inner: Arc<Mutex<Inner>>, mut queue: mpsc::UnboundedReceiver<Flush>) {
    while let Some(first) = queue.recv().await {
        let mut flushed = vec![first];
        while let Ok(next) = queue.try_recv() {
            flushed.push(next);
        }
        tokio::time::sleep(disk.sync_time()).await;
        let safe = flushed.last().map_or(0, |last| last.writes);
        inner.lock().unwrap_or_else(PoisonError::into_inner).unsynced.synced_up_to(safe);
        flushed.into_iter().for_each(|flush| flush.done.tell());
    }
}

/// The half-open index range `[from, to)` that `range` describes.
pub fn index_range(range: &impl RangeBounds<u64>) -> (u64, u64) {
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
pub fn one_message(
    entries: impl Iterator<Item = Result<LogEntry, StorageError>>,
) -> Result<Vec<LogEntry>, StorageError> {
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
    ) -> Result<Vec<LogEntry>, StorageError> {
        let (from, to) = index_range(&range);
        let log = self.lock();
        Ok(log.entries.range(log.position(from)..log.position(to)).cloned().collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, StorageError> {
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
        let before = self.lock().vote.replace(*vote);
        self.written(Write::Vote(before)).await;
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(vote_at_start(self.lock().vote, self.own))
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
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (from, last) = {
            let mut log = self.lock();
            let from = log.last().map_or(0, |last| last.index + 1);
            // What a snapshot has replaced is not stored again.
            let next = log.purged.map_or(0, |id| id.index + 1);
            log.entries.extend(entries.into_iter().filter(|entry| entry.log_id.index >= next));
            (from, log.last().map_or(0, |last| last.index))
        };
        self.meters.last_log_index.store(last, Relaxed);
        self.flush(Write::Append { from }, Done::Appended(callback));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let cut = {
            let mut log = self.lock();
            let keep = log.position(log_id.index);
            // Who leads has others there: nobody counts on what was lost.
            log.lost = None;
            log.entries.split_off(keep)
        };
        self.written(Write::Truncate(cut.into())).await;
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let mut log = self.lock();
        let gone = log.position(log_id.index + 1);
        log.entries.drain(..gone);
        let kept = log.entries.len();
        log.entries.shrink_to(2 * kept);
        log.purged = Some(log_id);
        // The snapshot behind it was made safe, and everything before with it.
        let all = log.unsynced.last();
        log.unsynced.synced_up_to(all);
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
                Ok(LogEntry { log_id, payload: EntryPayload::Normal(Bytes::from(vec![0; *size])) })
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
