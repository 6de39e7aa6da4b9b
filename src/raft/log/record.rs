//! The records of the log's files. Their layout is that of the crate `raft-log` 0.4, which wrote the log of earlier releases:
//! a kind, the values in our encoding (`codec.rs`), and a checksum over both. Big-endian.
//!
//! ```text
//! kind u32 | body | zero u32 | crc32 u32
//! ```

use std::io;

use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::raft::codec::{LOG_ID_BYTES, PAYLOAD_HEADER_BYTES, Wire, payload_len};
use crate::raft::types::{LogEntry, LogId, Vote};

const VOTE: u32 = 0;
const APPEND: u32 = 1;
const COMMITTED: u32 = 2;
const TRUNCATE: u32 = 3;
const PURGE: u32 = 4;
const STATE: u32 = 5;
const STATE_VERSION: u8 = 1;
const KIND_BYTES: usize = 4;
/// Bytes of an entry's record before its body.
pub const ENTRY_HEADER_BYTES: usize = KIND_BYTES + LOG_ID_BYTES + PAYLOAD_HEADER_BYTES;
/// Bytes of a record behind its body.
pub const CHECKSUM_BYTES: usize = 8;

/// What the records say so far. Each file begins with it, so that those before it can be removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordedState {
    pub vote: Option<Vote>,
    /// The newest entry, also if it is purged.
    pub last: Option<LogId>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Vote(Vote),
    Append(LogEntry),
    Committed(LogId),
    /// The entries after this one are gone; all, if there is none.
    Truncate(Option<LogId>),
    /// The entries up to this one are gone.
    Purge(LogId),
    State(RecordedState),
}

impl Record {
    /// Appends the record to `out`. Fails only for an entry that is too long.
    pub fn put(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        match self {
            Record::Vote(vote) => put(VOTE, vote, out),
            Record::Append(entry) => put(APPEND, entry, out),
            Record::Committed(id) => put(COMMITTED, id, out),
            Record::Truncate(last) => put(TRUNCATE, last, out),
            Record::Purge(id) => put(PURGE, id, out),
            Record::State(state) => put_state(state, out),
        }?;
        let checksum = crc32fast::hash(&out[start..]);
        out.put_be_u64(checksum.into());
        Ok(())
    }

    /// The record at the front of `bytes`, and its length.
    pub fn decode(bytes: &[u8]) -> io::Result<(Record, usize)> {
        let mut input = Decoder(bytes);
        let record = match input.be_u32()? {
            VOTE => Record::Vote(Wire::get(&mut input)?),
            APPEND => Record::Append(Wire::get(&mut input)?),
            COMMITTED => Record::Committed(Wire::get(&mut input)?),
            TRUNCATE => Record::Truncate(Wire::get(&mut input)?),
            PURGE => Record::Purge(Wire::get(&mut input)?),
            STATE => Record::State(get_state(&mut input)?),
            kind => return Err(DecodeError::Unknown { what: "kind of record", value: kind.into() }.into()),
        };
        let body = bytes.len() - input.0.len();
        if input.be_u64()? != u64::from(crc32fast::hash(&bytes[..body])) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum of a record is wrong"));
        }
        Ok((record, body + CHECKSUM_BYTES))
    }
}

fn put(kind: u32, value: &impl Wire, out: &mut Vec<u8>) -> io::Result<()> {
    out.put_be_u32(kind);
    value.put(out)
}

fn put_state(state: &RecordedState, out: &mut Vec<u8>) -> io::Result<()> {
    out.put_be_u32(STATE);
    out.put_u8(STATE_VERSION);
    state.vote.put(out)?;
    [state.last, state.committed, state.purged].iter().try_for_each(|id| id.put(out))?;
    // The crate has a place for data of its user, of which there is none.
    out.put_flag(false);
    Ok(())
}

fn get_state(input: &mut Decoder<'_>) -> io::Result<RecordedState> {
    match input.u8()? {
        STATE_VERSION => {}
        version => return Err(DecodeError::Unknown { what: "version of a state", value: version.into() }.into()),
    }
    let (vote, last) = (Wire::get(input)?, Wire::get(input)?);
    let state = RecordedState { vote, last, committed: Wire::get(input)?, purged: Wire::get(input)? };
    match input.flag()? {
        false => Ok(state),
        true => Err(DecodeError::Unknown { what: "data in a state", value: 1 }.into()),
    }
}

/// The length of an entry's record, where the part of it that says so is intact.
pub fn intact_len(record: &[u8]) -> Option<usize> {
    let mut input = Decoder(record);
    let is_entry = input.be_u32().ok()? == APPEND;
    input.bytes(LOG_ID_BYTES).ok()?;
    let body = payload_len(&input.array().ok()?).ok()?;
    is_entry.then_some(ENTRY_HEADER_BYTES + body + CHECKSUM_BYTES)
}
