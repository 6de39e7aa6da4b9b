//! Our types under the traits of the log crate: encodings, and the callback after a flush.

use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::base::codec::Encode;
use crate::base::fatal;
use crate::mutants::planted;
use crate::raft::codec::{Stored, Wire, decode};
use crate::raft::log::monitor::FlushTimer;
use crate::raft::log::position::DurablePosition;
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

/// Called when an append is on disk.
pub type OnFlushed = Box<dyn FnOnce() + Send>;

/// What waits for a write to be on disk. A failed write ends the process first.
pub enum FlushCallback {
    /// Called after an append; the timer measures it, and the position moves up to its last entry.
    Append(OnFlushed, FlushTimer, Option<(LogId, Arc<DurablePosition>)>),
    Waiter(oneshot::Sender<()>),
    None,
}

impl raft_log::Callback for FlushCallback {
    fn send(self, result: io::Result<()>) {
        let result = planted!("failed-flush-ignored", result => Ok(()));
        result.unwrap_or_else(|error| fatal::abort("cannot write the log", &error));
        #[cfg(feature = "mutants")]
        std::thread::sleep(crate::mutants::flush_delay());
        match self {
            FlushCallback::Append(flushed, timer, reached) => {
                timer.end();
                reached.into_iter().for_each(|(last, position)| position.advance(last));
                flushed();
            }
            // The waiter is gone when the node shuts down; the write is safe all the same.
            FlushCallback::Waiter(sender) => drop(sender.send(())),
            FlushCallback::None => {}
        }
    }
}
