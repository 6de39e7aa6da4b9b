//! What one node's engine asks another's.
//!
//! Commands travel as the log entry that they would be: one encoding for both, and the leader stamps it anew.

use super::codec::{MessageError, VERSION, open, put_tagged, put_text, take_text, unknown};
use crate::base::byte_enum;
use crate::base::codec::Encode;
use crate::domain::{Entry, Incarnation, StoreId};

/// A follower asks; only the leader does what is asked.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// "I am this process, and I am alive." Repeated; the leader answers when the table has the node.
    Present { incarnation: Incarnation, store: StoreId, level: u32 },
    /// Commands and touches, as an entry without a stamp. Answered when queued, not when committed.
    Forward { incarnation: Incarnation, entry: Entry },
    /// Up to which index must a node have applied the log to answer what is asked now?
    ReadIndex,
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

byte_enum! {
    /// The first byte of a request after the version. Never reused.
    enum Tag {
        Present = 1,
        Forward = 2,
        ReadIndex = 3,
        Add = 4,
        Promote = 5,
        Remove = 6,
        Members = 7,
        Identify = 8,
        Compare = 9,
    }
}

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Request::Present { incarnation, store, level } => {
                out.put_u8(Tag::Present as u8);
                out.put_be_u64(incarnation.0);
                out.put_bytes(&store.0);
                out.put_be_u32(*level);
            }
            Request::Forward { incarnation, entry } => {
                out.put_u8(Tag::Forward as u8);
                out.put_be_u64(incarnation.0);
                out.put_bytes(&entry.encode());
            }
            Request::ReadIndex => out.put_u8(Tag::ReadIndex as u8),
            Request::Change(Change::Add { node, address }) => {
                out.put_u8(Tag::Add as u8);
                out.put_be_u64(*node);
                put_text(&mut out, address);
            }
            Request::Change(Change::Promote { node }) => put_tagged(&mut out, Tag::Promote as u8, *node),
            Request::Change(Change::Remove { node }) => put_tagged(&mut out, Tag::Remove as u8, *node),
            Request::Members => out.put_u8(Tag::Members as u8),
            Request::Identify => out.put_u8(Tag::Identify as u8),
            Request::Compare(digest) => {
                put_tagged(&mut out, Tag::Compare as u8, digest.index);
                out.put_be_u64(digest.every_ms);
                out.put_be_u32(digest.level);
                out.put_bytes(&digest.digest);
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Request, MessageError> {
        let mut take = open(bytes)?;
        let tag = take.u8()?;
        let request = match Tag::from_u8(tag).ok_or_else(|| unknown("request", tag))? {
            Tag::Present => Request::Present {
                incarnation: Incarnation(take.be_u64()?),
                store: StoreId(take.array()?),
                level: take.be_u32()?,
            },
            Tag::Forward => {
                let incarnation = Incarnation(take.be_u64()?);
                return Ok(Request::Forward { incarnation, entry: Entry::decode(take.0)? });
            }
            Tag::ReadIndex => Request::ReadIndex,
            Tag::Add => Request::Change(Change::Add { node: take.be_u64()?, address: take_text(&mut take)? }),
            Tag::Promote => Request::Change(Change::Promote { node: take.be_u64()? }),
            Tag::Remove => Request::Change(Change::Remove { node: take.be_u64()? }),
            Tag::Members => Request::Members,
            Tag::Identify => Request::Identify,
            Tag::Compare => Request::Compare(TableDigest {
                index: take.be_u64()?,
                every_ms: take.be_u64()?,
                level: take.be_u32()?,
                digest: take.array()?,
            }),
        };
        take.end()?;
        Ok(request)
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
