//! The log on disk: the `raft-log` crate behind openraft's storage trait.
//!
//! One append is one write and one fdatasync, done by the crate's own thread; openraft is notified only after both.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use openraft::storage::RaftLogStorage;
use openraft::{AnyError, OptionalSend, RaftLogReader, StorageIOError};
use parking_lot::Mutex;
use raft_log::api::raft_log_writer::RaftLogWriter;
use tokio::sync::oneshot;

use crate::base::fatal;
use crate::mutants::planted;
use crate::raft::data_dir::directory::DataDirLock;
use crate::raft::data_dir::space::Closing;
use crate::raft::data_dir::store_id;
use crate::raft::error::NodeStartError;
use crate::raft::log::format::{Encoded, FlushCallback, LogTypes, OnFlushed};
use crate::raft::log::monitor::{FlushTimer, LogMonitor};
use crate::raft::log::position::{self, DurablePosition};
use crate::raft::log::range::{index_range, one_message};
use crate::raft::types::{
    LogEntry, LogFlushed, LogId, LogState, NodeId, StorageError, TypeConfig, Vote, vote_at_start,
};

/// Small files, because only whole files of purged entries can be removed.
const CHUNK_BYTES: usize = 4 << 20;
/// Entries beyond this are read back from their file; those of the newest file are always kept.
const CACHE_BYTES: usize = 4 << 20;
const READ_BUFFER_BYTES: usize = 1 << 20;
/// Appends arrive one at a time, so that this bounds the bytes of one append rather than a queue.
const QUEUE_BYTES: usize = 64 << 20;

type RaftLog = raft_log::RaftLog<LogTypes>;

/// Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub struct DiskLog {
    log: Arc<Mutex<RaftLog>>,
    sync: bool,
    monitor: Arc<LogMonitor>,
    /// The node that runs on this log.
    own: Option<NodeId>,
    data_dir: Arc<Path>,
    position: Arc<DurablePosition>,
    /// Whether this process has stored a vote.
    used: Arc<AtomicBool>,
    /// After the log, so that it is closed before the directory is given up.
    _lock: Arc<DataDirLock>,
}

impl DiskLog {
    /// Opens the log in `dir`, which `check.rs` has found sound: nothing is cut or repaired here.
    pub fn open(dir: &Path, sync: bool, monitor: Arc<LogMonitor>, lock: Arc<DataDirLock>) -> io::Result<Self> {
        let sync = planted!("no-fsync", sync => false);
        let log = RaftLog::open(Arc::new(config(dir)?))?;
        let last = log.log_state().last().map_or(0, |id| id.0.index);
        monitor.set_last_index(last);
        let data_dir: Arc<Path> = dir.parent().unwrap_or(dir).into();
        let position = Arc::new(DurablePosition::open(&data_dir)?);
        let log = Arc::new(Mutex::new(log));
        Ok(Self { log, sync, monitor, own: None, data_dir, position, used: Arc::default(), _lock: lock })
    }

    /// The same log as that of `node`, which is about to run on it.
    pub fn of(self, node: NodeId) -> Self {
        Self { own: Some(node), ..self }
    }

    pub fn span(&self) -> LogSpan {
        let log = self.log.lock();
        let state = log.log_state();
        let purged = state.purged().map(|id| id.0);
        let last = state.last().map(|id| id.0);
        let next = purged.map_or(0, |id| id.index + 1);
        let starts_at_next = log.read(next, next + 1).next().is_some();
        LogSpan { vote: state.vote().map(|vote| vote.0), purged, last, complete: last <= purged || starts_at_next }
    }

    /// The newest entry that was on disk once, if the log has lost it.
    pub fn lost_end(&self) -> Option<LogId> {
        let last = self.log.lock().log_state().last().map(|id| id.0);
        self.position.lost_entry(last)
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
        let last = self.log.lock().log_state().last().map(|id| id.0);
        if empty { self.position.reset() } else { self.position.truncate_to(last) }
    }

    /// Puts the last vote back if the log has lost it: a second vote in the same term could elect two leaders. Blocks until
    /// it is on disk.
    pub fn restore_vote(&self) -> io::Result<()> {
        let stored = self.log.lock().log_state().vote().map(|vote| vote.0);
        let missing = planted!("vote-given-twice", self.position.lost_vote(stored) => None);
        let Some(vote) = missing else { return Ok(()) };
        tracing::warn!(%vote, "the log has lost the vote of this node: it is put back");
        self.change_blocking(|log| log.save_vote(Encoded(vote)).map(drop), self.sync)
    }

    fn id_at(&self, index: u64) -> Option<LogId> {
        let log = self.log.lock();
        let entry = log.read(index, index + 1).next();
        entry.and_then(Result::ok).map(|(id, _)| id.0).or_else(|| log.log_state().purged().map(|id| id.0))
    }

    /// Makes an empty log one whose entries up to `at` are in a snapshot. Blocks until it is on disk.
    pub fn start_after(self, vote: &Vote, at: LogId) -> io::Result<()> {
        self.change_blocking(|log| log.save_vote(Encoded(*vote)).and_then(|_| log.purge(Encoded(at))).map(drop), true)
    }

    /// Runs `change`, flushes, and blocks until both are on disk.
    fn change_blocking(&self, change: impl FnOnce(&mut RaftLog) -> io::Result<()>, sync: bool) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        let mut log = self.log.lock();
        change(&mut log)?;
        log.flush(sync, Some(FlushCallback::Waiter(sender)))?;
        drop(log);
        receiver.blocking_recv().map_err(io::Error::other)
    }

    /// Appends, and calls `flushed` when the entries are on disk.
    pub fn append_entries(&self, entries: impl IntoIterator<Item = LogEntry>, flushed: OnFlushed) {
        let mut log = self.log.lock();
        // What a snapshot has replaced is not stored again.
        let next = log.log_state().purged().map_or(0, |id| id.0.index + 1);
        let entries = entries.into_iter().filter(|entry| entry.log_id.index >= next);
        let entries = entries.map(|entry| (Encoded(entry.log_id), Encoded(entry.payload)));
        let timer = FlushTimer::begin(&self.monitor);
        let sent = log.append(entries).and_then(|_| {
            let last = log.log_state().last().map(|id| (id.0, self.position.clone()));
            log.flush(self.sync, Some(FlushCallback::Append(flushed, timer, last)))
        });
        sent.unwrap_or_else(|error| fatal::abort("cannot write the log", &error));
        self.monitor.set_last_index(log.log_state().last().map_or(0, |id| id.0.index));
    }

    /// Waits until the log can be written, for the first time in this process.
    pub async fn until_writable(&self) -> Result<(), Closing> {
        self.monitor.space.wait(&self.data_dir).await
    }

    /// Runs `change`, flushes, and waits until both are on disk.
    async fn change_and_wait(&self, change: impl FnOnce(&mut RaftLog) -> io::Result<()>, sync: bool) {
        let (sender, receiver) = oneshot::channel();
        {
            let mut log = self.log.lock();
            let sent = change(&mut log).and_then(|()| log.flush(sync, Some(FlushCallback::Waiter(sender))));
            sent.unwrap_or_else(|error| fatal::abort("cannot write the log", &error));
        }
        if receiver.await.is_err() {
            fatal::abort("cannot write the log", &"the log's writer has stopped");
        }
    }
}

/// What the log holds at the start of a node.
#[derive(Debug)]
pub struct LogSpan {
    pub vote: Option<Vote>,
    pub purged: Option<LogId>,
    pub last: Option<LogId>,
    /// Whether the entries follow `purged` without a gap.
    pub complete: bool,
}

pub fn config(dir: &Path) -> io::Result<raft_log::Config> {
    let dir = dir.to_str().ok_or_else(|| io::Error::other("the data directory's path is not UTF-8"))?;
    let mut config = raft_log::Config::new(dir);
    config.log_cache_capacity = Some(CACHE_BYTES);
    config.wal.chunk_max_size = Some(CHUNK_BYTES);
    config.wal.read_buffer_size = Some(READ_BUFFER_BYTES);
    config.wal.flush_batch_wait = Some(Duration::ZERO);
    config.wal.flush_queue_max_bytes = Some(QUEUE_BYTES);
    config.wal.truncate_incomplete_record = Some(false);
    Ok(config)
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

fn entries(log: &RaftLog, from: u64, to: u64) -> impl Iterator<Item = Result<LogEntry, StorageError>> {
    log.read(from, to).map(|entry| {
        let (log_id, payload) = entry.map_err(|e| StorageIOError::read_logs(AnyError::new(&e)))?;
        Ok(LogEntry { log_id: log_id.0, payload: payload.0 })
    })
}

impl RaftLogStorage<TypeConfig> for DiskLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState, StorageError> {
        let log = self.log.lock();
        let state = log.log_state();
        Ok(LogState { last_purged_log_id: state.purged().map(|id| id.0), last_log_id: state.last().map(|id| id.0) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let room = self.until_writable().await;
        room.map_err(|e| StorageIOError::write_vote(AnyError::new(&e)))?;
        let stored = Encoded(*vote);
        self.change_and_wait(|log| log.save_vote(stored).map(drop), self.sync).await;
        self.position.set_vote(vote);
        if !self.used.swap(true, Relaxed) {
            let marked = store_id::mark_used(&self.data_dir);
            marked.unwrap_or_else(|error| fatal::abort("cannot mark the data directory as used", &error));
        }
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let stored = self.log.lock().log_state().vote().map(|vote| vote.0);
        Ok(vote_at_start(stored, self.own))
    }

    /// Not flushed by itself: it is written with the next append, and losing it costs nothing but a later apply.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        if self.monitor.space.is_full() {
            return Ok(());
        }
        let mut log = self.log.lock();
        let state = log.log_state();
        let known = |id: Option<&Encoded<LogId>>| id.map(|id| id.0);
        // An installed snapshot may be ahead of the log; the crate takes only what the log holds.
        if let Some(committed) =
            committed.filter(|id| Some(*id) > known(state.committed()) && Some(*id) <= known(state.last()))
        {
            let saved = log.commit(Encoded(committed));
            saved.unwrap_or_else(|error| fatal::abort("cannot write the log", &error));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.log.lock().log_state().committed().map(|id| id.0))
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let room = self.until_writable().await;
        room.map_err(|e| StorageIOError::write_logs(AnyError::new(&e)))?;
        self.append_entries(entries, Box::new(|| callback.log_io_completed(Ok(()))));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let room = self.until_writable().await;
        room.map_err(|e| StorageIOError::write_logs(AnyError::new(&e)))?;
        // After the appends before it, or one of them would advance the position again.
        self.change_and_wait(|_| Ok(()), true).await;
        let before = log_id.index.checked_sub(1).and_then(|index| self.id_at(index));
        let fallen = self.position.truncate_to(before);
        fallen.unwrap_or_else(|error| fatal::abort("cannot write the position of the log", &error));
        self.change_and_wait(|log| log.truncate(log_id.index).map(drop), true).await;
        Ok(())
    }

    /// Files that hold purged entries only are removed by the log's writer, after the purge itself is on disk.
    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let mut log = self.log.lock();
        let sent = log.purge(Encoded(log_id)).and_then(|_| log.flush(true, Some(FlushCallback::None)));
        sent.unwrap_or_else(|error| fatal::abort("cannot purge the log", &error));
        Ok(())
    }
}
