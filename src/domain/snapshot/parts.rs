//! The table in parts, each the same bytes wherever the table is the same: for comparing the tables of nodes.

use super::super::codec::Put;
use super::super::cow::SHARDS;
use super::records::{put_lock, put_request, put_session};
use super::{FrozenTable, version_of};

impl FrozenTable {
    /// How many parts there are, whatever the table holds.
    pub const PARTS: usize = SHARDS;

    /// How many records all parts have together.
    pub fn records(&self) -> usize {
        self.sessions.len() + self.remembered.len() + self.requests.len() + self.locks.len()
    }

    /// A number that goes up with cluster time, by one in every such span, and with every leadership.
    pub fn turn(&self, span_ms: u64) -> u64 {
        (self.now.0 / span_ms.max(1)).wrapping_add(self.epoch)
    }

    /// What the table is besides its records, and how many of each kind there are.
    pub fn put_summary(&self, out: &mut Vec<u8>) {
        self.put_head(out);
        let counts = [self.sessions.len(), self.remembered.len(), self.requests.len(), self.locks.len()];
        counts.into_iter().for_each(|count| out.put_u64(count as u64));
    }

    /// The records of one part.
    pub fn put_part(&self, part: usize, out: &mut Vec<u8>) {
        let version = version_of(self.level);
        self.sessions.part(part).for_each(|(id, session)| put_session(out, *id, session, version));
        for (name, (size, until)) in self.remembered.part(part) {
            out.put_text(name);
            out.put_u64((*size).into());
            out.put_u64(until.0);
        }
        self.requests.part(part).for_each(|(id, record)| put_request(out, *id, record, version));
        self.locks.part(part).for_each(|(name, lock)| put_lock(out, name, lock, version));
    }
}
