//! The whole state as bytes. Equal states give equal bytes.

mod listing;
mod records;
mod restore;

use super::codec::Format;
use super::codec::values::put_limits;
use super::cow_map::FrozenMap;
use super::idempotency::RequestRecord;
use super::ids::{Name, RequestId, SessionId};
use super::locks::Lock;
use super::sessions::Session;
use super::table::{Header, Table};
use super::time::Timestamp;
use crate::base::codec::{DecodeError, Decoder, Encode};
use records::{put_lock, put_node, put_remembered_size, put_request, put_session};
use std::io::{self, Read, Write};

/// Records are written out when this many bytes have accumulated.
const FLUSH_BYTES: usize = 64 * 1024;

/// A consistent view of the table, not affected by later entries.
pub struct FrozenTable {
    header: Header,
    locks: FrozenMap<Name, Lock>,
    sessions: FrozenMap<SessionId, Session>,
    remembered_sizes: FrozenMap<Name, (u32, Timestamp)>,
    idempotency_keys: FrozenMap<RequestId, RequestRecord>,
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
        }
    }

    /// The table that [`FrozenTable::write_to`] wrote.
    pub fn restore(input: &mut dyn Read) -> Result<Table, SnapshotError> {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        let mut input = Decoder(&bytes);
        restore::take_table(&mut input)
            .map_err(|error| SnapshotError::Damaged { offset: bytes.len() - input.0.len(), error })
    }
}

impl FrozenTable {
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(2 * FLUSH_BYTES);
        let format = self.format();
        self.header.put(&mut buffer, format);
        buffer.put_varint(self.sessions.len() as u64);
        for (id, session) in self.sessions.iter() {
            put_session(&mut buffer, *id, session, format);
            flush_full(&mut buffer, out)?;
        }
        buffer.put_varint(self.remembered_sizes.len() as u64);
        for (name, size) in self.remembered_sizes.iter() {
            put_remembered_size(&mut buffer, name, *size);
            flush_full(&mut buffer, out)?;
        }
        buffer.put_varint(self.idempotency_keys.len() as u64);
        for (id, record) in self.idempotency_keys.iter() {
            put_request(&mut buffer, *id, record, format);
            flush_full(&mut buffer, out)?;
        }
        buffer.put_varint(self.locks.len() as u64);
        for (name, lock) in self.locks.iter() {
            put_lock(&mut buffer, name, lock, format);
            flush_full(&mut buffer, out)?;
        }
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
        put_limits(out, &self.limits, format);
        out.put_varint(self.level.into());
        out.put_flag(self.confirm);
        if format >= Format::EventOrigins {
            out.put_varint(self.event_origin);
        }
        if format >= Format::TableIds {
            out.put_varint(self.table_id);
        }
        out.put_varint(self.nodes.all().len() as u64);
        self.nodes.all().iter().for_each(|(node, record)| put_node(out, *node, record));
    }
}

fn flush_full(buffer: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
    if buffer.len() >= FLUSH_BYTES {
        out.write_all(buffer)?;
        buffer.clear();
    }
    Ok(())
}
