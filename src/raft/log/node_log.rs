//! The log that a node has, driven directly where no openraft runs.

use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;

use crate::raft::data_dir::space::Closing;
use crate::raft::log::disk::DiskLog;
use crate::raft::log::memory::MemoryLog;
use crate::raft::types::{LogEntry, LogState, StorageError, Vote};

/// Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub enum NodeLog {
    Memory(MemoryLog),
    Disk(DiskLog),
}

/// Asks whichever log it is.
macro_rules! ask {
    ($this:ident, $log:ident => $answer:expr) => {
        match $this {
            NodeLog::Memory($log) => $answer,
            NodeLog::Disk($log) => $answer,
        }
    };
}

impl NodeLog {
    /// Waits until the log can be written, for the first time in this process.
    pub async fn until_writable(&self) -> Result<(), Closing> {
        if let NodeLog::Disk(log) = self { log.until_writable().await } else { Ok(()) }
    }

    /// Appends an entry, and calls `flushed` when it is on disk. Returns whether there is a flush to wait for. Without a disk
    /// or a store the entry is not kept: there is no peer to send it to, and no restart.
    pub fn append(&self, entry: &LogEntry, flushed: impl FnOnce() + Send + 'static) -> bool {
        if let NodeLog::Memory(log) = self
            && !log.has_store()
        {
            log.monitor.set_last_index(entry.log_id.index);
            return false;
        }
        ask!(self, log => log.append_entries([entry.clone()], flushed));
        true
    }

    /// The last entry that is no longer in the log.
    pub fn purged_index(&self) -> Option<u64> {
        ask!(self, log => log.purged_index())
    }

    pub async fn state(&mut self) -> Result<(LogState, Option<Vote>), StorageError> {
        ask!(self, log => Ok((log.get_log_state().await?, log.read_vote().await?)))
    }

    /// The entries from `start` on, before `end`: at least one if there is any, and not more than fit in memory well.
    pub async fn entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, StorageError> {
        ask!(self, log => log.limited_get_log_entries(start, end).await)
    }

    pub async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        ask!(self, log => log.save_vote(vote).await)
    }

    /// Removes the entries up to this index, which a snapshot covers.
    pub async fn purge(&mut self, upto: u64) -> Result<(), StorageError> {
        match self.entries(upto, upto + 1).await?.first() {
            Some(entry) => ask!(self, log => log.purge(entry.log_id).await),
            None => Ok(()),
        }
    }
}
