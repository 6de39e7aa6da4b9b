//! The log of a node without peers: one of the logs of this room, driven directly.

use std::sync::Arc;

use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;

use crate::raft::data_dir::space::Closing;
use crate::raft::log::disk::DiskLog;
use crate::raft::log::memory::MemoryLog;
use crate::raft::log::monitor::LogMonitor;
use crate::raft::types::{LogEntry, LogId, LogState, StorageError, Vote};

/// Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub enum StandaloneLog {
    /// Nothing is kept: there is no peer to send it to, and no restart.
    Memory(Arc<LogMonitor>),
    Stable(MemoryLog),
    Disk(DiskLog),
}

impl StandaloneLog {
    /// Waits until the log can be written, for the first time in this process.
    pub async fn until_writable(&self) -> Result<(), Closing> {
        match self {
            StandaloneLog::Disk(log) => log.until_writable().await,
            StandaloneLog::Memory(_) | StandaloneLog::Stable(_) => Ok(()),
        }
    }

    /// Appends an entry, and calls `flushed` when it is on disk. Returns whether there is a flush to wait for.
    pub fn append(&self, entry: &LogEntry, flushed: impl FnOnce() + Send + 'static) -> bool {
        match self {
            StandaloneLog::Memory(monitor) => monitor.set_last_index(entry.log_id.index),
            StandaloneLog::Stable(log) => log.append_entries([entry.clone()], Box::new(flushed)),
            StandaloneLog::Disk(log) => log.append_entries([entry.clone()], Box::new(flushed)),
        }
        !matches!(self, StandaloneLog::Memory(_))
    }

    /// The last entry that is no longer in the log.
    pub fn purged_index(&self) -> Option<u64> {
        match self {
            StandaloneLog::Memory(_) => None,
            StandaloneLog::Stable(log) => log.purged_index(),
            StandaloneLog::Disk(log) => log.span().purged.map(|id| id.index),
        }
    }

    pub async fn state(&mut self) -> Result<(LogState, Option<Vote>), StorageError> {
        match self {
            StandaloneLog::Memory(_) => Ok((LogState::default(), None)),
            StandaloneLog::Stable(log) => Ok((log.get_log_state().await?, log.read_vote().await?)),
            StandaloneLog::Disk(log) => Ok((log.get_log_state().await?, log.read_vote().await?)),
        }
    }

    /// The entries from `start` on, before `end`: at least one if there is any, and not more than fit in memory well.
    pub async fn entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, StorageError> {
        match self {
            StandaloneLog::Memory(_) => Ok(Vec::new()),
            StandaloneLog::Stable(log) => log.limited_get_log_entries(start, end).await,
            StandaloneLog::Disk(log) => log.limited_get_log_entries(start, end).await,
        }
    }

    pub async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        match self {
            StandaloneLog::Memory(_) => Ok(()),
            StandaloneLog::Stable(log) => log.save_vote(vote).await,
            StandaloneLog::Disk(log) => log.save_vote(vote).await,
        }
    }

    /// Removes the entries up to this index, which a snapshot covers.
    pub async fn purge(&mut self, upto: u64) -> Result<(), StorageError> {
        let Some(id) = self.id_at(upto).await? else { return Ok(()) };
        match self {
            StandaloneLog::Memory(_) => Ok(()),
            StandaloneLog::Stable(log) => log.purge(id).await,
            StandaloneLog::Disk(log) => log.purge(id).await,
        }
    }

    async fn id_at(&mut self, index: u64) -> Result<Option<LogId>, StorageError> {
        Ok(self.entries(index, index + 1).await?.first().map(|entry| entry.log_id))
    }
}
