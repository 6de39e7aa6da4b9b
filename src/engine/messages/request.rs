//! What one node's engine asks another's.
//!
//! Commands travel as the log entry that they would be: one encoding for both, and the leader stamps it anew.

use super::codec::Version1;
use crate::base::byte_enum;
use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::base::value::{Value, plain, record, variants};
use crate::domain::{Entry, Incarnation, StoreId};

/// A follower asks; only the leader does what is asked.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// "I am this process, and I am alive." Repeated; the leader answers when the table has the node.
    Present { incarnation: Incarnation, store: StoreId, level: u32 },
    /// Commands and touches, as an entry without a stamp. Answered when queued, not when committed.
    Forward { incarnation: Incarnation, entry: Box<Entry> },
    /// The same, with the traced ones among the commands. Older nodes do not know it, and are sent the other.
    ForwardTraced { incarnation: Incarnation, traced: Vec<TracedCommand>, entry: Box<Entry> },
    /// Up to which index must a node have applied the log to answer what is asked now?
    ReadIndex,
    /// The same, and from which time on the entries after it are stamped. Asked only at the level of modes, because older
    /// nodes do not know it.
    ReadPoint,
    /// A change of the membership.
    Change(Change),
    /// Who is a member, and how far behind each is.
    Members,
    /// Which table do you have? Every node answers.
    Identify,
    /// "This is the digest of my table": do the others have the same?
    Compare(TableDigest),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Add { node: u64, address: String },
    Promote { node: u64 },
    Remove { node: u64 },
}

variants! {
    Request in Version1 as "request",
    1 = Present { incarnation, store, level },
    2 = Forward { incarnation, entry },
    3 = ReadIndex,
    7 = Members,
    8 = Identify,
    9 = Compare(digest),
    10 = ReadPoint,
    11 = ForwardTraced { incarnation, traced, entry },
    _ = Change,
}

variants! {
    Change in Version1 as "request",
    4 = Add { node, address },
    5 = Promote { node },
    6 = Remove { node },
}

/// A command whose request is traced, by its number among those of its process; with the span of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TracedCommand {
    pub sequence: u64,
    pub trace: [u8; 16],
    pub span: u64,
}

record!(TracedCommand { sequence, trace, span } in Version1);

impl Value<Version1> for Vec<TracedCommand> {
    fn put(&self, out: &mut Vec<u8>, format: Version1) {
        out.put_be_u32(self.len() as u32);
        self.iter().for_each(|traced| traced.put(out, format));
    }

    fn get(input: &mut Decoder<'_>, format: Version1) -> Result<Self, DecodeError> {
        (0..input.be_u32()?).map(|_| Value::get(input, format)).collect()
    }
}

/// The digest of a table at one index of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableDigest {
    pub index: u64,
    /// Nodes with another interval or feature level take other digests, which are not compared.
    pub every_ms: u64,
    pub level: u32,
    pub digest: [u8; 32],
}

record!(TableDigest { index, every_ms, level, digest } in Version1);

byte_enum! {
    /// What the leader says of a digest.
    pub enum Verdict {
        /// Nothing is known against it.
        Agrees = 0,
        /// Undecided: the node asks again.
        Open = 1,
        /// A majority has another digest, or no digest has a majority.
        Differs = 2,
    }
}

plain!(Version1, Verdict, |out, verdict| out.put_u8(*verdict as u8), |input| {
    let byte = input.u8()?;
    Verdict::from_u8(byte).ok_or(DecodeError::Unknown { what: "verdict", value: byte.into() })
});
