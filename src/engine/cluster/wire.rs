//! What the engines of two nodes say to each other, as bytes: our own versioned encoding.
//!
//! Commands travel as the log entry they would be: one encoding for both, and the leader stamps it anew. Integers are
//! big-endian; a reader believes no length beyond the bytes that are there.

use super::MemberError;
pub use super::wire_members::MemberLine;
use super::wire_members::{put_error, take_error};
use crate::base::codec::DecodeError;
use crate::domain::{Entry, Incarnation, StoreId, Timestamp};
use crate::engine::compare::{Mark, Verdict};

/// Raised when a message changes its shape. A node answers versions it does not know with [`Reply::NotUnderstood`].
const VERSION: u8 = 1;
/// A node's address; the same bound as in the log.
const ADDRESS_BYTES_MAX: usize = 1024;

/// A follower asks; only the leader does what is asked.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// "I am this process, and I am alive." Repeated; the leader answers when the table knows it.
    Present { incarnation: Incarnation, store: StoreId, level: u32 },
    /// Commands and sightings of sessions, as an entry without stamp. Answered when queued, not when committed.
    Forward { incarnation: Incarnation, entry: Entry },
    /// Up to where must a node have applied the log to answer what is asked now?
    ReadIndex,
    /// A change of the membership.
    Change(Change),
    /// Who is a member, and how far behind.
    Members,
    /// Which table do you have? Every node answers.
    Identify,
    /// "This is the digest of my table": do the others have the same?
    Compare(Mark),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Add { node: u64, address: String },
    Promote { node: u64 },
    Remove { node: u64 },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Nothing was done.
    NotLeader,
    /// Nothing was done: the leader has no quorum at the moment.
    NoQuorum,
    /// Nothing was done: the leader's queue is full.
    Busy,
    /// Queued, or known, in the leadership `epoch`: in another one, what was queued is forgotten and must be sent again.
    /// `now` is cluster time as the leader answers.
    Accepted {
        epoch: u64,
        now: Timestamp,
    },
    ReadIndex {
        index: u64,
        now: Timestamp,
    },
    Changed,
    /// Handed to the log, end not seen.
    OutcomeUnknown,
    /// This node is not taken in, in words.
    NotTakenIn {
        reason: String,
    },
    /// The membership was not changed.
    Refused(MemberError),
    Members {
        members: Vec<MemberLine>,
    },
    /// What the leader says of a digest.
    Compared(Verdict),
    /// The other side speaks another version.
    NotUnderstood,
    /// The leader, with a quorum, says that the node that asks is no member any more.
    NotMember,
    /// The life of the table, and whether the node leads.
    Identity {
        life: u64,
        leads: bool,
    },
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    #[error("version {0} of the messages between nodes is not known here")]
    Version(u8),
    #[error("the message ends too early")]
    Truncated,
    #[error("{0} bytes follow the message")]
    Trailing(usize),
    #[error("unknown {what} {value}")]
    Unknown { what: &'static str, value: u8 },
    #[error("a text is not UTF-8 or too long")]
    Text,
    #[error("commands cannot be read: {0}")]
    Commands(#[from] DecodeError),
}

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Request::Present { incarnation, store, level } => {
                out.push(1);
                out.extend(incarnation.0.to_be_bytes());
                out.extend(store.0);
                out.extend(level.to_be_bytes());
            }
            Request::Forward { incarnation, entry } => {
                out.push(2);
                out.extend(incarnation.0.to_be_bytes());
                out.extend(entry.encode());
            }
            Request::ReadIndex => out.push(3),
            Request::Change(Change::Add { node, address }) => {
                out.push(4);
                out.extend(node.to_be_bytes());
                put_text(&mut out, address);
            }
            Request::Change(Change::Promote { node }) => put_node(&mut out, 5, *node),
            Request::Change(Change::Remove { node }) => put_node(&mut out, 6, *node),
            Request::Members => out.push(7),
            Request::Identify => out.push(8),
            Request::Compare(mark) => {
                put_node(&mut out, 9, mark.index);
                out.extend(mark.every_ms.to_be_bytes());
                out.extend(mark.level.to_be_bytes());
                out.extend(mark.digest);
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Request, WireError> {
        let mut take = Reader::open(bytes)?;
        let request = match take.u8()? {
            1 => Request::Present {
                incarnation: Incarnation(take.u64()?),
                store: StoreId(take.array()?),
                level: take.u32()?,
            },
            2 => {
                let incarnation = Incarnation(take.u64()?);
                return Ok(Request::Forward { incarnation, entry: Entry::decode(take.0)? });
            }
            3 => Request::ReadIndex,
            4 => Request::Change(Change::Add { node: take.u64()?, address: take.text()? }),
            5 => Request::Change(Change::Promote { node: take.u64()? }),
            6 => Request::Change(Change::Remove { node: take.u64()? }),
            7 => Request::Members,
            8 => Request::Identify,
            9 => Request::Compare(Mark {
                index: take.u64()?,
                every_ms: take.u64()?,
                level: take.u32()?,
                digest: take.array()?,
            }),
            value => return Err(WireError::Unknown { what: "request", value }),
        };
        take.end()?;
        Ok(request)
    }
}

impl Reply {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Reply::NotLeader => out.push(1),
            Reply::NoQuorum => out.push(2),
            Reply::Busy => out.push(3),
            Reply::Accepted { epoch, now } => {
                put_node(&mut out, 4, *epoch);
                out.extend(now.0.to_be_bytes());
            }
            Reply::ReadIndex { index, now } => {
                put_node(&mut out, 5, *index);
                out.extend(now.0.to_be_bytes());
            }
            Reply::Changed => out.push(6),
            Reply::NotTakenIn { reason } => {
                out.push(7);
                put_text(&mut out, reason);
            }
            Reply::Members { members } => {
                out.push(8);
                out.extend((members.len() as u32).to_be_bytes());
                members.iter().for_each(|member| member.put(&mut out));
            }
            Reply::NotUnderstood => out.push(9),
            Reply::Refused(error) => {
                out.push(10);
                put_error(&mut out, error);
            }
            Reply::OutcomeUnknown => out.push(11),
            Reply::NotMember => out.push(12),
            Reply::Identity { life, leads } => {
                put_node(&mut out, 13, *life);
                out.push(u8::from(*leads));
            }
            Reply::Compared(verdict) => out.extend([14, *verdict as u8]),
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Reply, WireError> {
        let mut take = Reader::open(bytes)?;
        let reply = match take.u8()? {
            1 => Reply::NotLeader,
            2 => Reply::NoQuorum,
            3 => Reply::Busy,
            4 => Reply::Accepted { epoch: take.u64()?, now: Timestamp(take.u64()?) },
            5 => Reply::ReadIndex { index: take.u64()?, now: Timestamp(take.u64()?) },
            6 => Reply::Changed,
            7 => Reply::NotTakenIn { reason: take.text()? },
            8 => {
                let count = take.u32()?;
                Reply::Members { members: (0..count).map(|_| MemberLine::take(&mut take)).collect::<Result<_, _>>()? }
            }
            9 => Reply::NotUnderstood,
            10 => Reply::Refused(take_error(&mut take)?),
            11 => Reply::OutcomeUnknown,
            12 => Reply::NotMember,
            13 => Reply::Identity { life: take.u64()?, leads: take.u8()? != 0 },
            14 => Reply::Compared(match take.u8()? {
                0 => Verdict::Stands,
                1 => Verdict::Open,
                2 => Verdict::Differs,
                value => return Err(WireError::Unknown { what: "verdict", value }),
            }),
            value => return Err(WireError::Unknown { what: "reply", value }),
        };
        take.end()?;
        Ok(reply)
    }
}

fn put_node(out: &mut Vec<u8>, tag: u8, node: u64) {
    out.push(tag);
    out.extend(node.to_be_bytes());
}

/// Longer texts are cut: they are addresses, checked before, and reasons for people.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    let fits = (0..=text.len().min(ADDRESS_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end));
    let text = &text[..fits.unwrap_or(0)];
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn open(bytes: &'a [u8]) -> Result<Reader<'a>, WireError> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            VERSION => Ok(reader),
            other => Err(WireError::Version(other)),
        }
    }

    fn raw(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.raw(N)?.try_into().map_err(|_| WireError::Truncated)
    }

    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub fn flag(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(WireError::Unknown { what: "flag", value }),
        }
    }

    pub fn text(&mut self) -> Result<String, WireError> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        if length > ADDRESS_BYTES_MAX {
            return Err(WireError::Text);
        }
        String::from_utf8(self.raw(length)?.to_vec()).map_err(|_| WireError::Text)
    }

    fn end(&self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing(self.0.len())) }
    }
}
