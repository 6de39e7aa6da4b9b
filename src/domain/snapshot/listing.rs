//! What a frozen table shows: listings of locks, waiters and sessions, and its parts, each with equal bytes where the tables are
//! equal, for comparing the tables of nodes.

use super::{FrozenTable, put_record};
use crate::base::codec::Encode;
use crate::domain::cow_map::SHARDS;
use crate::domain::ids::{Name, SessionId};
use crate::domain::sessions::Session;
use crate::domain::time::Timestamp;
use crate::domain::view::{LockFilter, LockView, SessionView, WaiterView};
use std::sync::Arc;

impl FrozenTable {
    /// The locks at `now`, in order of their names, from the first after `after`.
    pub fn locks<'a>(
        &'a self,
        filter: &'a LockFilter,
        after: Option<&Name>,
        now: Timestamp,
    ) -> impl Iterator<Item = LockView> + 'a {
        let prefix: Name = Arc::from(filter.prefix.as_str());
        let after = after.filter(|after| ***after >= *prefix).cloned();
        let start = after.clone().unwrap_or(prefix);
        self.locks
            .ordered_from(&start)
            .skip_while(move |(name, _)| Some(*name) == after.as_ref())
            .take_while(|(name, _)| name.starts_with(&filter.prefix))
            // Views copy their holds, so they are not made for the many locks without waiters.
            .filter(|(_, lock)| filter.contended != Some(true) || !lock.queue().is_empty())
            .filter_map(move |(name, lock)| LockView::of(name, lock, now, |session| self.live(session)))
            .filter(|view| filter.accepts(view))
    }

    /// The waiters of a lock at `now`, in order of their turns.
    pub fn waiters_view(&self, name: &Name, now: Timestamp) -> Vec<WaiterView> {
        let is_live = |session| self.live(session).is_some();
        self.locks.get(name).map_or_else(Vec::new, |lock| WaiterView::all_of(lock, now, is_live))
    }

    /// Live sessions in order of their ids.
    pub fn sessions_after(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionView> {
        let is_shown =
            |(id, session): &(&SessionId, &Session)| !session.ended && after.is_none_or(|after| **id > after);
        let mut live: Vec<(&SessionId, &Session)> = self.sessions.iter().filter(is_shown).collect();
        live.sort_unstable_by_key(|(id, _)| **id);
        live.into_iter().take(limit).map(|(id, session)| SessionView::of(*id, session)).collect()
    }

    fn live(&self, session: SessionId) -> Option<&Session> {
        self.sessions.get(&session).filter(|session| !session.ended)
    }
}

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
        self.sessions.part(part).for_each(|(id, session)| put_record(id, session, out, format));
        self.remembered_sizes.part(part).for_each(|(name, size)| put_record(name, size, out, format));
        self.idempotency_keys.part(part).for_each(|(id, record)| put_record(id, record, out, format));
        self.locks.part(part).for_each(|(name, lock)| put_record(name, lock, out, format));
    }

    fn record_counts(&self) -> [usize; 4] {
        [self.sessions.len(), self.remembered_sizes.len(), self.idempotency_keys.len(), self.locks.len()]
    }
}
