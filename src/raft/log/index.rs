//! What the records of the log say: its state, where its entries are, and the newest of them.

use std::collections::VecDeque;
use std::io;

use crate::raft::log::range::payload_bytes;
use crate::raft::log::record::{Record, RecordedState};
use crate::raft::types::{LogEntry, LogId};

/// Entries beyond this are read back from their file.
const CACHE_BYTES: usize = 4 << 20;

/// Where the record of an entry is, as an offset in the whole log.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub id: LogId,
    pub at: u64,
    pub bytes: u32,
}

impl Place {
    fn end(&self) -> u64 {
        self.at + u64::from(self.bytes)
    }
}

#[derive(Debug, Default)]
pub struct LogIndex {
    state: RecordedState,
    /// Consecutive.
    places: VecDeque<Place>,
    /// The newest entries: those of the last places.
    newest: VecDeque<LogEntry>,
    newest_bytes: usize,
}

impl LogIndex {
    pub fn state(&self) -> RecordedState {
        self.state
    }

    /// Whether a record may follow the others. What was refused must not be written.
    pub fn check(&self, record: &Record) -> io::Result<()> {
        match record {
            Record::Vote(vote) => {
                let is_older = self.state.vote.is_some_and(|stored| *vote < stored);
                refuse(is_older, "an older vote", vote)
            }
            Record::Append(entry) => self.check_append(entry.log_id),
            Record::Committed(id) => {
                refuse(Some(*id) < self.state.committed || Some(*id) > self.state.last, "a committed entry", id)
            }
            Record::Truncate(last) => {
                refuse(*last < self.state.committed, "a truncation before committed entries", last)
            }
            Record::Purge(_) | Record::State(_) => Ok(()),
        }
    }

    fn check_append(&self, id: LogId) -> io::Result<()> {
        // The first entry may have any index: those before it are in a snapshot.
        let is_next = self.state.last.is_none_or(|last| id > last && id.index == last.index + 1);
        refuse(!is_next, "an entry that does not follow the last one", &id)
    }

    /// Takes in a record that has been checked, and begins at `at`.
    pub fn apply(&mut self, record: Record, at: u64, bytes: usize) {
        match record {
            Record::Vote(vote) => self.state.vote = Some(vote),
            Record::Append(entry) => self.push(entry, at, bytes),
            Record::Committed(id) => self.state.committed = Some(id),
            Record::Truncate(last) => self.truncate(last),
            Record::Purge(id) => self.purge(id),
            Record::State(state) => self.state = state,
        }
    }

    fn push(&mut self, entry: LogEntry, at: u64, bytes: usize) {
        let id = entry.log_id;
        self.state.last = Some(id);
        self.places.push_back(Place { id, at, bytes: bytes as u32 });
        self.newest_bytes += payload_bytes(&entry);
        self.newest.push_back(entry);
    }

    fn truncate(&mut self, last: Option<LogId>) {
        let next = last.map_or(0, |id| id.index + 1);
        self.places.truncate(self.position(next));
        while self.newest.back().is_some_and(|entry| entry.log_id.index >= next) {
            self.newest_bytes -= self.newest.pop_back().as_ref().map_or(0, payload_bytes);
        }
        self.state.last = self.state.last.min(last);
    }

    fn purge(&mut self, id: LogId) {
        if Some(id) > self.state.last {
            // Entries of an earlier term, which a snapshot has replaced, are gone too.
            (self.places, self.newest, self.newest_bytes) = Default::default();
        }
        self.places.drain(..self.position(id.index + 1));
        let kept = self.places.len();
        self.places.shrink_to(2 * kept);
        while self.newest.front().is_some_and(|entry| entry.log_id.index <= id.index) {
            self.drop_oldest();
        }
        self.state.purged = self.state.purged.max(Some(id));
        self.state.last = self.state.last.max(Some(id));
    }

    /// Keeps fewer entries in memory, of those that are in the files up to `written`.
    pub fn trim(&mut self, written: u64) {
        while self.newest_bytes > CACHE_BYTES {
            let oldest = self.places.len() - self.newest.len();
            if self.places[oldest].end() > written {
                return;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        self.newest_bytes -= self.newest.pop_front().as_ref().map_or(0, payload_bytes);
    }

    /// The places of the entries from this index on, before `end`, each with the entry if it is in memory.
    pub fn range(&self, from: u64, end: u64) -> impl Iterator<Item = (Place, Option<&LogEntry>)> {
        let from = self.position(from);
        let end = self.position(end).max(from);
        let in_files = self.places.len() - self.newest.len();
        let entry = move |at: usize| at.checked_sub(in_files).map(|at| &self.newest[at]);
        self.places.range(from..end).enumerate().map(move |(at, place)| (*place, entry(from + at)))
    }

    pub fn id_at(&self, index: u64) -> Option<LogId> {
        self.range(index, index.saturating_add(1)).next().map(|(place, _)| place.id)
    }

    /// How many entries lie before `index`.
    fn position(&self, index: u64) -> usize {
        let first = self.places.front().map_or(index, |place| place.id.index);
        usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX).min(self.places.len())
    }
}

fn refuse(is_refused: bool, what: &str, value: &impl std::fmt::Debug) -> io::Result<()> {
    match is_refused {
        true => Err(io::Error::other(format!("the log was given {what}: {value:?}"))),
        false => Ok(()),
    }
}
