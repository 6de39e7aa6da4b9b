//! The log of a node without peers: one of the logs of this room, driven directly.

use std::sync::Arc;

use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;

use crate::raft::data_dir::space::Closing;
use crate::raft::log::disk::DiskLog;
use crate::raft::log::memory::MemoryLog;
use crate::raft::log::monitor::LogMonitor;
use crate::raft::types::{LogEntry, LogState, StorageError, Vote};

/// Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub enum StandaloneLog {
    /// No entry is kept: there is no peer to send it to, and no restart.
    None(Arc<LogMonitor>),
    Memory(MemoryLog),
    Disk(DiskLog),
}

/// Asks whichever log there is; `$none` is the answer where there is none.
macro_rules! ask {
    ($this:ident, none: $none:expr, $log:ident => $answer:expr) => {
        match $this {
            StandaloneLog::None(_) => $none,
            StandaloneLog::Memory($log) => $answer,
            StandaloneLog::Disk($log) => $answer,
        }
    };
}

impl StandaloneLog {
    /// Waits until the log can be written, for the first time in this process.
    pub async fn until_writable(&self) -> Result<(), Closing> {
        if let StandaloneLog::Disk(log) = self { log.until_writable().await } else { Ok(()) }
    }

    /// Appends an entry, and calls `flushed` when it is on disk. Returns whether there is a flush to wait for.
    pub fn append(&self, entry: &LogEntry, flushed: impl FnOnce() + Send + 'static) -> bool {
        if let StandaloneLog::None(monitor) = self {
            monitor.set_last_index(entry.log_id.index);
            return false;
        }
        ask!(self, none: (), log => log.append_entries([entry.clone()], flushed));
        true
    }

    /// The last entry that is no longer in the log.
    pub fn purged_index(&self) -> Option<u64> {
        ask!(self, none: None, log => log.purged_index())
    }

    pub async fn state(&mut self) -> Result<(LogState, Option<Vote>), StorageError> {
        ask!(self, none: Ok((LogState::default(), None)), log => Ok((log.get_log_state().await?, log.read_vote().await?)))
    }

    /// The entries from `start` on, before `end`: at least one if there is any, and not more than fit in memory well.
    pub async fn entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, StorageError> {
        ask!(self, none: Ok(Vec::new()), log => log.limited_get_log_entries(start, end).await)
    }

    pub async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        ask!(self, none: Ok(()), log => log.save_vote(vote).await)
    }

    /// Removes the entries up to this index, which a snapshot covers.
    pub async fn purge(&mut self, upto: u64) -> Result<(), StorageError> {
        match self.entries(upto, upto + 1).await?.first() {
            Some(entry) => ask!(self, none: Ok(()), log => log.purge(entry.log_id).await),
            None => Ok(()),
        }
    }
}
