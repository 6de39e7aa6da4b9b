//! Our encodings under the traits of the log crate.

use std::io;

use crate::base::codec::Encode;

use crate::raft::codec::{Stored, Wire, decode};
use crate::raft::log::flush::FlushCallback;
use crate::raft::types::{EntryPayload, LogId, Vote};

/// A value in our encoding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Encoded<T>(pub T);

impl<T: Wire> raft_log::codeq::Encode for Encoded<T> {
    fn encode<W: io::Write>(&self, out: W) -> io::Result<usize> {
        let mut written = Written { out, bytes: 0, result: Ok(()) };
        self.0.put(&mut written)?;
        written.result.map(|()| written.bytes)
    }
}

/// Encodes straight into the buffer of the log crate; keeps the first error.
struct Written<W> {
    out: W,
    bytes: usize,
    result: io::Result<()>,
}

impl<W: io::Write> Encode for Written<W> {
    fn put_u8(&mut self, value: u8) {
        self.put_bytes(&[value]);
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        if self.result.is_ok() {
            self.result = self.out.write_all(bytes);
            self.bytes += bytes.len();
        }
    }
}

impl<T: Stored> raft_log::codeq::Decode for Encoded<T> {
    fn decode<R: io::Read>(mut input: R) -> io::Result<Self> {
        decode(&T::read_bytes(&mut input)?).map(Encoded)
    }
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LogTypes;

impl raft_log::Types for LogTypes {
    type LogId = Encoded<LogId>;
    type LogPayload = Encoded<EntryPayload>;
    type Vote = Encoded<Vote>;
    type Callback = FlushCallback;
    type UserData = ();

    fn log_index(log_id: &Self::LogId) -> u64 {
        log_id.0.index
    }

    fn payload_size(payload: &Self::LogPayload) -> u64 {
        match &payload.0 {
            EntryPayload::Normal(bytes) => bytes.len() as u64,
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
    }
}
