//! The log on disk, behind openraft's storage trait.
//!
//! One append is one write and one fdatasync, done by a thread of its own (`writer.rs`); openraft is notified only after both.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use openraft::storage::RaftLogStorage;
use openraft::{AnyError, OptionalSend, RaftLogReader, StorageIOError};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::base::fatal;
use crate::mutants::planted;
use crate::raft::data_dir::directory::DataDirLock;
use crate::raft::data_dir::space::Closing;
use crate::raft::data_dir::store_id;
use crate::raft::error::NodeStartError;
use crate::raft::log::log_files::LogFiles;
use crate::raft::log::monitor::LogMonitor;
use crate::raft::log::position::{self, DurablePosition};
use crate::raft::log::range::{index_range, one_message};
use crate::raft::log::record::{Record, RecordedState};
use crate::raft::types::{
    LogEntry, LogFlushed, LogId, LogState, NodeId, StorageError, TypeConfig, Vote, vote_at_start,
};

/// Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub struct DiskLog {
    log: Arc<Mutex<LogFiles>>,
    sync: bool,
    monitor: Arc<LogMonitor>,
    /// The node that runs on this log, if one does.
    own: Option<NodeId>,
    data_dir: Arc<Path>,
    position: Arc<DurablePosition>,
    /// Whether this process has stored a vote.
    used: Arc<AtomicBool>,
}

impl DiskLog {
    /// Opens the log in `dir`, which `check.rs` has found sound: nothing is cut or repaired here.
    pub fn open(
        dir: &Path,
        own: Option<NodeId>,
        sync: bool,
        monitor: Arc<LogMonitor>,
        lock: Arc<DataDirLock>,
    ) -> Result<Self, NodeStartError> {
        let sync = planted!("no-fsync", sync => false);
        let log = LogFiles::open(dir, sync, lock).map_err(|e| NodeStartError::unreadable(dir, 0, e))?;
        monitor.set_last_index(log.state().last.map_or(0, |id| id.index));
        let data_dir: Arc<Path> = dir.parent().unwrap_or(dir).into();
        let position = DurablePosition::open(&data_dir);
        let position = Arc::new(position.map_err(|e| NodeStartError::io(&data_dir.join(position::FILE), e))?);
        let log = Arc::new(Mutex::new(log));
        Ok(Self { log, sync, monitor, own, data_dir, position, used: Arc::default() })
    }

    /// Whether the entries follow those that were purged without a gap.
    pub fn is_complete(&self) -> bool {
        let log = self.log.lock();
        log.state().last <= log.state().purged || log.id_at(log.next_kept()).is_some()
    }

    pub fn purged_index(&self) -> Option<u64> {
        self.state().purged.map(|id| id.index)
    }

    /// The newest entry that was on disk once, if the log has lost it.
    pub fn lost_end(&self) -> Option<LogId> {
        self.position.lost_entry(self.state().last)
    }

    /// Refuses a log for which it is unknown whether it has lost its end.
    pub fn check_position(&self, may_be_missing: bool) -> Result<(), NodeStartError> {
        let Some(why) = self.position.unreadable_reason(may_be_missing) else { return Ok(()) };
        let reason = format!(
            "{why}, so whether the log has lost its end is not known; --accept-lost-end begins with the log as it is"
        );
        Err(NodeStartError::damaged(&self.data_dir.join(position::FILE), 0, reason))
    }

    /// From now on the log is not expected to hold more entries than it does; with `empty`, no vote either.
    pub fn accept_lost_end(&self, empty: bool) -> io::Result<()> {
        if empty { self.position.reset() } else { self.position.truncate_to(self.state().last) }
    }

    /// Puts the last vote back if the log has lost it: a second vote in the same term could elect two leaders. Blocks until
    /// it is on disk.
    pub fn restore_vote(&self) -> io::Result<()> {
        let missing = planted!("vote-given-twice", self.position.lost_vote(self.state().vote) => None);
        let Some(vote) = missing else { return Ok(()) };
        tracing::warn!(%vote, "the log has lost the vote of this node: it is put back");
        self.change([Record::Vote(vote)], self.sync)?.blocking_recv().map_err(io::Error::other)
    }

    pub fn state(&self) -> RecordedState {
        self.log.lock().state()
    }

    fn id_at(&self, index: u64) -> Option<LogId> {
        let log = self.log.lock();
        log.id_at(index).or(log.state().purged)
    }

    /// Makes an empty log one whose entries up to `at` are in a snapshot. Blocks until it is on disk.
    pub fn start_after(self, vote: &Vote, at: LogId) -> io::Result<()> {
        self.change([Record::Vote(*vote), Record::Purge(at)], true)?.blocking_recv().map_err(io::Error::other)
    }

    /// Writes records. What is returned resolves when everything is on disk.
    fn change(&self, records: impl IntoIterator<Item = Record>, sync: bool) -> io::Result<oneshot::Receiver<()>> {
        let (sender, on_disk) = oneshot::channel();
        let mut log = self.log.lock();
        records.into_iter().try_for_each(|record| log.append(record))?;
        // Who waits is gone when the node shuts down; the write is safe all the same.
        log.flush(sync, Some(Box::new(|| _ = sender.send(()))));
        Ok(on_disk)
    }

    /// Appends, and calls `flushed` when the entries are on disk.
    pub fn append_entries(&self, entries: impl IntoIterator<Item = LogEntry>, flushed: impl FnOnce() + Send + 'static) {
        let mut log = self.log.lock();
        // What a snapshot has replaced is not stored again.
        let next = log.next_kept();
        let began = self.monitor.flush_began();
        let mut entries = entries.into_iter().filter(|entry| entry.log_id.index >= next);
        let appended = entries.try_for_each(|entry| log.append(Record::Append(entry)));
        appended.unwrap_or_else(|error| fatal::abort("cannot write the log", &error));
        let last = log.state().last;
        let (monitor, position) = (self.monitor.clone(), self.position.clone());
        let on_disk = move || {
            monitor.flush_ended(began);
            last.into_iter().for_each(|last| position.advance(last));
            flushed();
        };
        log.flush(self.sync, Some(Box::new(on_disk)));
        self.monitor.set_last_index(last.map_or(0, |id| id.index));
    }

    /// Waits until the log can be written, for the first time in this process.
    pub async fn until_writable(&self) -> Result<(), Closing> {
        self.monitor.space.wait(&self.data_dir).await
    }

    /// Writes a record, if there is one, and waits until everything is on disk.
    async fn change_and_wait(&self, record: Option<Record>, sync: bool) {
        let on_disk = self.change(record, sync).unwrap_or_else(|error| fatal::abort("cannot write the log", &error));
        if on_disk.await.is_err() {
            fatal::abort("cannot write the log", &"the log's writer has stopped");
        }
    }
}

impl RaftLogReader<TypeConfig> for DiskLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, StorageError> {
        let (from, to) = index_range(&range);
        entries(&self.log.lock(), from, to).collect()
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, StorageError> {
        one_message(entries(&self.log.lock(), start, end))
    }
}

fn entries(log: &LogFiles, from: u64, to: u64) -> impl Iterator<Item = Result<LogEntry, StorageError>> {
    log.read(from, to).map(|entry| Ok(entry.map_err(|e| StorageIOError::read_logs(AnyError::new(&e)))?))
}

impl RaftLogStorage<TypeConfig> for DiskLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState, StorageError> {
        let state = self.state();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let room = self.until_writable().await;
        room.map_err(|e| StorageIOError::write_vote(AnyError::new(&e)))?;
        self.change_and_wait(Some(Record::Vote(*vote)), self.sync).await;
        self.position.set_vote(vote);
        if !self.used.swap(true, Relaxed) {
            let marked = store_id::mark_used(&self.data_dir);
            marked.unwrap_or_else(|error| fatal::abort("cannot mark the data directory as used", &error));
        }
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(vote_at_start(self.state().vote, self.own))
    }

    /// Not flushed by itself: it is written with the next append, and losing it costs nothing but a later apply.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        if self.monitor.space.is_full() {
            return Ok(());
        }
        let mut log = self.log.lock();
        let state = log.state();
        // An installed snapshot may be ahead of the log, which takes only what it holds.
        if committed > state.committed
            && committed <= state.last
            && let Some(committed) = committed
        {
            let saved = log.append(Record::Committed(committed));
            saved.unwrap_or_else(|error| fatal::abort("cannot write the log", &error));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.state().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let room = self.until_writable().await;
        room.map_err(|e| StorageIOError::write_logs(AnyError::new(&e)))?;
        self.append_entries(entries, || callback.log_io_completed(Ok(())));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let room = self.until_writable().await;
        room.map_err(|e| StorageIOError::write_logs(AnyError::new(&e)))?;
        // After the appends before it, or one of them would advance the position again.
        self.change_and_wait(None, true).await;
        let before = log_id.index.checked_sub(1).and_then(|index| self.id_at(index));
        let fallen = self.position.truncate_to(before);
        fallen.unwrap_or_else(|error| fatal::abort("cannot write the position of the log", &error));
        self.change_and_wait(Some(Record::Truncate(before)), true).await;
        Ok(())
    }

    /// Files that hold purged entries only are removed by the log's writer, after the purge itself is on disk.
    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let mut log = self.log.lock();
        if Some(log_id) > log.state().purged {
            log.append(Record::Purge(log_id)).unwrap_or_else(|error| fatal::abort("cannot purge the log", &error));
            log.flush(true, None);
        }
        Ok(())
    }
}
