//! What one node's engine asks another's.
//!
//! Commands travel as the log entry that they would be: one encoding for both, and the leader stamps it anew.

use super::codec::{Reader, VERSION, WireError, put_tagged, put_text};
use super::digest::TableDigest;
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
            Request::Change(Change::Promote { node }) => put_tagged(&mut out, 5, *node),
            Request::Change(Change::Remove { node }) => put_tagged(&mut out, 6, *node),
            Request::Members => out.push(7),
            Request::Identify => out.push(8),
            Request::Compare(digest) => {
                put_tagged(&mut out, 9, digest.index);
                out.extend(digest.every_ms.to_be_bytes());
                out.extend(digest.level.to_be_bytes());
                out.extend(digest.digest);
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
            9 => Request::Compare(TableDigest {
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
