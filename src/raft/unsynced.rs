//! Writes of a simulated disk that a loss of power would still take back, newest first.

use std::collections::VecDeque;

use crate::raft::types::{LogEntry, Vote};

/// What a write has changed, so that it can be undone.
#[derive(Debug)]
pub enum Write {
    /// The vote before.
    Vote(Option<Vote>),
    /// Entries from this index on.
    Append { from: u64 },
    /// The entries that were cut off.
    Truncate(Vec<LogEntry>),
}

/// In the order in which they were made: what is lost is always the end.
#[derive(Debug, Default)]
pub struct Unsynced {
    writes: VecDeque<Write>,
    /// How many writes are safe.
    synced: u64,
}

impl Unsynced {
    /// Notes a write; returns how many there have been.
    pub fn note(&mut self, write: Write) -> u64 {
        self.writes.push_back(write);
        self.last()
    }

    pub fn last(&self) -> u64 {
        self.synced + self.writes.len() as u64
    }

    /// The first `count` writes are safe.
    pub fn synced_up_to(&mut self, count: u64) {
        let safe = usize::try_from(count.saturating_sub(self.synced)).unwrap_or(usize::MAX).min(self.writes.len());
        self.writes.drain(..safe);
        self.synced += safe as u64;
    }

    /// How many writes are not safe.
    pub fn count(&self) -> usize {
        self.writes.len()
    }

    /// The newest write that is not safe.
    pub fn take_last(&mut self) -> Option<Write> {
        self.writes.pop_back()
    }
}
