//! The table in parts, each with equal bytes where the tables are equal: for comparing the tables of nodes.

use super::FrozenTable;
use super::records::{put_lock, put_remembered_size, put_request, put_session};
use crate::base::codec::Encode;
use crate::domain::cow_map::SHARDS;

impl FrozenTable {
    /// The number of parts, whatever the table holds.
    pub const PARTS: usize = SHARDS;

    /// How many records all parts have together.
    pub fn records(&self) -> usize {
        self.record_counts().into_iter().sum()
    }

    /// A number that rises by one in each such span of cluster time, and with each leadership.
    pub fn turn(&self, span_ms: u64) -> u64 {
        (self.header.now.0 / span_ms.max(1)).wrapping_add(self.header.epoch)
    }

    /// The header of the table, and how many records of each kind there are.
    pub fn put_summary(&self, out: &mut Vec<u8>) {
        self.header.put(out, self.format());
        self.record_counts().into_iter().for_each(|count| out.put_varint(count as u64));
    }

    /// The records of one part.
    pub fn put_part(&self, part: usize, out: &mut Vec<u8>) {
        let format = self.format();
        self.sessions.part(part).for_each(|(id, session)| put_session(out, *id, session, format));
        self.remembered_sizes.part(part).for_each(|(name, size)| put_remembered_size(out, name, *size));
        self.idempotency_keys.part(part).for_each(|(id, record)| put_request(out, *id, record, format));
        self.locks.part(part).for_each(|(name, lock)| put_lock(out, name, lock, format));
    }

    fn record_counts(&self) -> [usize; 4] {
        [self.sessions.len(), self.remembered_sizes.len(), self.idempotency_keys.len(), self.locks.len()]
    }
}
