//! A frozen table: the whole state as bytes, which are equal where the states are equal, and listings of it.

mod parts;
mod ranked;
mod records;
mod restore;

use super::codec::Format;
use super::cow_map::{FrozenMap, SHARDS};
use super::freezes::FreezesView;
use super::history::FrozenRings;
use super::idempotency::IdempotencyRecord;
use super::ids::{IdempotencyId, Name, SessionId};
use super::locks::Lock;
use super::marks::Mark;
use super::ranking::Standing;
use super::sessions::Session;
use super::table::{Header, Table};
use super::time::Timestamp;
use super::view::{LockFilter, LockView, SessionView, WaiterView};
use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::base::value::Value;
use std::io::{self, Read, Write};

/// Records are written out when this many bytes have accumulated.
const FLUSH_BYTES: usize = 64 * 1024;

/// A consistent view of the table, not affected by later entries.
pub struct FrozenTable {
    header: Header,
    locks: FrozenMap<Name, Lock>,
    sessions: FrozenMap<SessionId, Session>,
    remembered_sizes: FrozenMap<Name, (u32, Timestamp)>,
    idempotency_keys: FrozenMap<IdempotencyId, IdempotencyRecord>,
    marks: FrozenMap<Name, Mark>,
    history: FrozenRings,
    freezes: FreezesView,
}

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is damaged at byte {offset}: {error}")]
    Damaged { offset: usize, error: DecodeError },
}

impl Table {
    /// Cheap, whatever the table holds: later writes copy the parts that they change.
    pub fn freeze(&self) -> FrozenTable {
        FrozenTable {
            header: self.header.clone(),
            locks: self.locks.freeze(),
            sessions: self.sessions.freeze(),
            remembered_sizes: self.remembered_sizes.freeze(),
            idempotency_keys: self.idempotency_keys.freeze(),
            marks: self.marks.freeze(),
            history: self.history.freeze(),
            freezes: self.freezes.view(),
        }
    }

    /// The table that [`FrozenTable::write_to`] wrote.
    pub fn restore(input: &mut dyn Read) -> Result<Table, SnapshotError> {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        let mut input = Decoder(&bytes);
        restore::get_table(&mut input)
            .map_err(|error| SnapshotError::Damaged { offset: bytes.len() - input.0.len(), error })
    }
}

impl FrozenTable {
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(2 * FLUSH_BYTES);
        let format = self.format();
        self.header.put(&mut buffer, format);
        put_all(self.sessions.len(), self.sessions.iter(), &mut buffer, out, format)?;
        put_all(self.remembered_sizes.len(), self.remembered_sizes.iter(), &mut buffer, out, format)?;
        put_all(self.idempotency_keys.len(), self.idempotency_keys.iter(), &mut buffer, out, format)?;
        if format >= Format::Modes {
            put_all(self.marks.len(), self.marks.iter(), &mut buffer, out, format)?;
        }
        if format >= Format::History {
            put_all(self.history.len(), self.history.iter(), &mut buffer, out, format)?;
        }
        if format >= Format::Freezes {
            self.freezes.put(&mut buffer, format);
        }
        put_all(self.locks.len(), self.locks.iter(), &mut buffer, out, format)?;
        out.write_all(&buffer)
    }

    fn format(&self) -> Format {
        Format::of_snapshot(self.header.level)
    }
}

impl Header {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        out.put_u8(format as u8);
        for value in [self.now.0, self.epoch, self.next_token, self.next_waiter] {
            out.put_varint(value);
        }
        self.limits.put(out, format);
        out.put_varint(self.level.into());
        out.put_flag(self.confirm);
        if format >= Format::EventOrigins {
            out.put_varint(self.event_origin);
        }
        if format >= Format::TableIds {
            out.put_varint(self.table_id);
        }
        if format >= Format::History {
            out.put_varint(self.clock_ms);
        }
        out.put_varint(self.nodes.all().len() as u64);
        self.nodes.all().iter().for_each(|(node, record)| put_record(node, record, out, format));
        if format >= Format::Quotas {
            self.quotas.put(out, format);
        }
    }
}

/// Records behind their number; writes the buffer out whenever it is full.
fn put_all<'a, K: Value<Format> + 'a, V: Value<Format> + 'a>(
    count: usize,
    records: impl Iterator<Item = (&'a K, &'a V)>,
    buffer: &mut Vec<u8>,
    out: &mut dyn Write,
    format: Format,
) -> io::Result<()> {
    buffer.put_varint(count as u64);
    for (key, value) in records {
        put_record(key, value, buffer, format);
        if buffer.len() >= FLUSH_BYTES {
            out.write_all(buffer)?;
            buffer.clear();
        }
    }
    Ok(())
}

impl FreezesView {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        out.put_varint(self.len() as u64);
        self.all().for_each(|(target, freeze)| put_record(target, freeze, out, format));
        self.sweep.put(out, format);
    }
}

fn put_record(key: &impl Value<Format>, value: &impl Value<Format>, out: &mut Vec<u8>, format: Format) {
    key.put(out, format);
    value.put(out, format);
}

type Entry<'a> = (&'a Name, &'a Lock);

/// Listings.
impl FrozenTable {
    /// The locks at `now`, in order of their names, from the first after `after`.
    pub fn locks<'a>(
        &'a self,
        filter: &'a LockFilter,
        after: Option<&Name>,
        now: Timestamp,
    ) -> impl Iterator<Item = LockView> + 'a {
        // Views copy their holds, so they are not made for locks that the records rule out.
        let named = self.in_order(filter, after, now);
        let views = named.filter_map(move |(name, lock)| LockView::of(name, lock, now, |session| self.live(session)));
        views.filter(|view| filter.accepts(view))
    }

    /// The locks that a filter may accept, in order of their names, from the first after `after`. Where it may accept few of
    /// many, they are found first and ordered then: to go through all names in order takes much longer.
    fn in_order<'a>(
        &'a self,
        filter: &'a LockFilter,
        after: Option<&Name>,
        now: Timestamp,
    ) -> Box<dyn Iterator<Item = Entry<'a>> + 'a> {
        if filter.is_selective() {
            let is_behind = |(name, _): &Entry<'a>| after.is_none_or(|after| *name > after);
            let is_in_state = |(_, lock): &Entry<'a>| self.is_in_state(filter, lock, now);
            let mut found: Vec<Entry<'a>> = self.matching(filter).filter(is_behind).filter(is_in_state).collect();
            found.sort_unstable_by_key(|(name, _)| *name);
            return Box::new(found.into_iter());
        }
        let after = after.cloned();
        let named = filter.prefixes.iter().flat_map(move |prefix| self.named(prefix, after.clone()));
        Box::new(named.filter(|(name, lock)| filter.may_accept(name, lock)))
    }

    /// The same as the view of a lock would show, which copies its holds.
    fn is_in_state(&self, filter: &LockFilter, lock: &Lock, now: Timestamp) -> bool {
        let standing = Standing::of(lock, now, |session| self.live(session));
        standing.is_in_use() && filter.accepts_state(standing.is_held(), standing.waiters)
    }

    /// The locks with this prefix in order of their names, from the first after `after`.
    fn named<'a>(&'a self, prefix: &'a str, after: Option<Name>) -> impl Iterator<Item = (&'a Name, &'a Lock)> {
        let after = after.filter(|after| **after >= *prefix);
        let start = after.clone().unwrap_or_else(|| prefix.into());
        let locks = self.locks.ordered_from(&start).skip_while(move |(name, _)| Some(*name) == after.as_ref());
        locks.take_while(move |(name, _)| name.starts_with(prefix))
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

    /// The live sessions that have this handle, which is one unless two ids have the same digest.
    pub fn sessions_with_handle(&self, handle: &str) -> Vec<SessionView> {
        let named = self.sessions.iter().filter(|(id, session)| !session.ended && id.handle() == handle);
        named.map(|(id, session)| SessionView::of(*id, session)).collect()
    }

    fn live(&self, session: SessionId) -> Option<&Session> {
        self.sessions.get(&session).filter(|session| !session.ended)
    }
}

/// Its parts, each with equal bytes where the tables are equal, for comparing the tables of nodes.
impl FrozenTable {
    /// The number of parts, whatever the table holds.
    pub const PARTS: usize = SHARDS;

    /// How many records all parts have together.
    pub fn records(&self) -> usize {
        self.record_counts().sum()
    }

    /// A number that rises by one in each such span of cluster time, and with each leadership.
    pub fn turn(&self, span_ms: u64) -> u64 {
        (self.header.now.0 / span_ms.max(1)).wrapping_add(self.header.epoch)
    }

    /// The header of the table, its freezes, and how many records of each kind there are.
    pub fn put_summary(&self, out: &mut Vec<u8>) {
        self.header.put(out, self.format());
        self.record_counts().for_each(|count| out.put_varint(count as u64));
        if self.format() >= Format::Freezes {
            self.freezes.put(out, self.format());
        }
    }

    /// The records of one part.
    pub fn put_part(&self, part: usize, out: &mut Vec<u8>) {
        let format = self.format();
        self.sessions.part(part).for_each(|(id, session)| put_record(id, session, out, format));
        self.remembered_sizes.part(part).for_each(|(name, size)| put_record(name, size, out, format));
        self.idempotency_keys.part(part).for_each(|(id, record)| put_record(id, record, out, format));
        self.marks.part(part).for_each(|(resource, mark)| put_record(resource, mark, out, format));
        self.history.part(part).for_each(|(name, ring)| put_record(name, ring, out, format));
        self.locks.part(part).for_each(|(name, lock)| put_record(name, lock, out, format));
    }

    /// Older levels have no marks, or no history.
    fn record_counts(&self) -> impl Iterator<Item = usize> {
        let counts = [self.sessions.len(), self.remembered_sizes.len(), self.idempotency_keys.len(), self.locks.len()];
        let marks = (self.format() >= Format::Modes).then_some(self.marks.len());
        counts.into_iter().chain(marks).chain((self.format() >= Format::History).then_some(self.history.len()))
    }
}
