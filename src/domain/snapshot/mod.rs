//! The whole state as bytes. Equal states give equal bytes.

mod listing;
mod records;
mod restore;

use super::codec::Format;
use super::cow_map::{FrozenMap, ShardKey};
use super::idempotency::RequestRecord;
use super::ids::{Name, RequestId, SessionId};
use super::locks::Lock;
use super::sessions::Session;
use super::table::{Header, Table};
use super::time::Timestamp;
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
        restore::get_table(&mut input)
            .map_err(|error| SnapshotError::Damaged { offset: bytes.len() - input.0.len(), error })
    }
}

impl FrozenTable {
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(2 * FLUSH_BYTES);
        let format = self.format();
        self.header.put(&mut buffer, format);
        put_all(&self.sessions, &mut buffer, out, format)?;
        put_all(&self.remembered_sizes, &mut buffer, out, format)?;
        put_all(&self.idempotency_keys, &mut buffer, out, format)?;
        put_all(&self.locks, &mut buffer, out, format)?;
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
        out.put_varint(self.nodes.all().len() as u64);
        self.nodes.all().iter().for_each(|(node, record)| put_record(node, record, out, format));
    }
}

/// The records of a map behind their number; writes the buffer out whenever it is full.
fn put_all<K: ShardKey + Value<Format>, V: Value<Format>>(
    map: &FrozenMap<K, V>,
    buffer: &mut Vec<u8>,
    out: &mut dyn Write,
    format: Format,
) -> io::Result<()> {
    buffer.put_varint(map.len() as u64);
    for (key, value) in map.iter() {
        put_record(key, value, buffer, format);
        if buffer.len() >= FLUSH_BYTES {
            out.write_all(buffer)?;
            buffer.clear();
        }
    }
    Ok(())
}

fn put_record(key: &impl Value<Format>, value: &impl Value<Format>, out: &mut Vec<u8>, format: Format) {
    key.put(out, format);
    value.put(out, format);
}
