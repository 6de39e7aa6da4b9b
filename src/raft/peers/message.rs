//! The messages in the frames. As on disk, the encoding is our own; `message_tests.rs` decodes committed examples.

use std::io;

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

use crate::base::codec::{Decoder, Encode};
use crate::raft::codec::{Wire, invalid, wire_struct};
use crate::raft::types::{LogEntry, NodeId, SnapshotMeta, TypeConfig, Vote};

/// A longer list of members is damage.
const MAX_INITIAL: usize = 1024;

/// The first message of both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The frame versions that the sender reads and writes.
    pub oldest: u8,
    pub newest: u8,
    pub from: NodeId,
    /// The node that the sender expects at this address.
    pub to: NodeId,
    pub store: [u8; 16],
    /// Whether the sender has nothing stored yet: no log, no vote.
    pub empty: bool,
    /// The nodes with which the sender would form a cluster, itself included.
    pub initial: Vec<NodeId>,
}

/// The answer to a hello.
pub type HelloReply = Result<Hello, HelloRefusal>;

/// Why a node refuses a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloRefusal {
    #[error("it speaks versions {oldest} to {newest} of the protocol between nodes")]
    Protocol { oldest: u8, newest: u8 },
    #[error("node {found} is at that address")]
    OtherNode { found: NodeId },
    #[error("the cluster knows this node with another data directory")]
    OtherStore,
}

impl Wire for Hello {
    /// Later versions may add to the end: what is not known there is skipped.
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
        out.put_u8(self.oldest);
        out.put_u8(self.newest);
        out.put_be_u64(self.from);
        out.put_be_u64(self.to);
        out.put_bytes(&self.store);
        out.put_flag(self.empty);
        out.put_be_u16(u16::try_from(self.initial.len()).map_err(|_| invalid("too many nodes"))?);
        self.initial.iter().for_each(|node| out.put_be_u64(*node));
        Ok(())
    }

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        let (oldest, newest) = (input.u8()?, input.u8()?);
        let (from, to) = (input.be_u64()?, input.be_u64()?);
        let (store, empty) = (input.array()?, input.flag()?);
        let count = usize::from(input.be_u16()?);
        if count > MAX_INITIAL {
            return Err(invalid(format!("a list of {count} nodes is out of range")));
        }
        let initial = (0..count).map(|_| Ok(input.be_u64()?)).collect::<io::Result<_>>()?;
        Ok(Hello { oldest, newest, from, to, store, empty, initial })
    }
}

impl Wire for HelloReply {
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
        match self {
            Ok(hello) => {
                out.put_u8(0);
                return hello.put(out);
            }
            Err(HelloRefusal::Protocol { oldest, newest }) => out.put_bytes(&[1, *oldest, *newest]),
            Err(HelloRefusal::OtherNode { found }) => {
                out.put_u8(2);
                out.put_be_u64(*found);
            }
            Err(HelloRefusal::OtherStore) => out.put_u8(3),
        }
        Ok(())
    }

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        Ok(match input.u8()? {
            0 => Ok(Hello::get(input)?),
            1 => Err(HelloRefusal::Protocol { oldest: input.u8()?, newest: input.u8()? }),
            2 => Err(HelloRefusal::OtherNode { found: input.be_u64()? }),
            3 => Err(HelloRefusal::OtherStore),
            other => return Err(invalid(format!("unknown reply {other} to a hello"))),
        })
    }
}

wire_struct!(AppendEntriesRequest<TypeConfig> { vote, prev_log_id, leader_commit, entries });
wire_struct!(VoteRequest<NodeId> { vote, last_log_id });
wire_struct!(VoteResponse<NodeId> { vote_granted, vote, last_log_id });
wire_struct!(SnapshotBegin { vote, meta });

impl Wire for Vec<LogEntry> {
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
        out.put_be_u32(u32::try_from(self.len()).map_err(|_| invalid("too many entries"))?);
        self.iter().try_for_each(|entry| entry.put(out))
    }

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        (0..input.be_u32()?).map(|_| Wire::get(input)).collect()
    }
}

impl Wire for AppendEntriesResponse<NodeId> {
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
        match self {
            Self::Success => out.put_u8(0),
            Self::PartialSuccess(matched) => {
                out.put_u8(1);
                matched.put(out)?;
            }
            Self::Conflict => out.put_u8(2),
            Self::HigherVote(vote) => {
                out.put_u8(3);
                vote.put(out)?;
            }
        }
        Ok(())
    }

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        Ok(match input.u8()? {
            0 => Self::Success,
            1 => Self::PartialSuccess(Option::get(input)?),
            2 => Self::Conflict,
            3 => Self::HigherVote(Vote::get(input)?),
            other => return Err(invalid(format!("unknown answer {other} to entries"))),
        })
    }
}

/// Announces a snapshot; its file follows in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotBegin {
    pub vote: Vote,
    pub meta: SnapshotMeta,
}
