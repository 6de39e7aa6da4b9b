//! What is said in the frames. As on disk, the encoding is our own; `message_tests.rs` decodes committed examples.

use std::io::{self, Read, Write};

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

use crate::raft::codec::{Wire, get_bool, get_u8, get_u64, invalid};
use crate::raft::types::{EntryPayload, LogEntry, LogId, NodeId, SnapshotMeta, TypeConfig, Vote};

/// More than this are no list of members.
const MAX_INITIAL: usize = 1024;

/// The first thing that both sides say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The frame versions that the sender reads and writes.
    pub oldest: u8,
    pub newest: u8,
    pub from: NodeId,
    /// Whom the sender believes to be at this address.
    pub to: NodeId,
    pub store: [u8; 16],
    /// Whether nothing is stored there yet: no log, no vote.
    pub empty: bool,
    /// With whom the sender would form a cluster, itself included.
    pub initial: Vec<NodeId>,
}

/// What a hello is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelloReply {
    Hello(Hello),
    Refused(HelloRefusal),
}

/// Why a node is not talked to.
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
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        let mut bytes = vec![self.oldest, self.newest];
        bytes.extend(self.from.to_be_bytes());
        bytes.extend(self.to.to_be_bytes());
        bytes.extend(self.store);
        bytes.push(self.empty.into());
        let count = u16::try_from(self.initial.len()).map_err(|_| invalid("too many nodes"))?;
        bytes.extend(count.to_be_bytes());
        self.initial.iter().for_each(|node| bytes.extend(node.to_be_bytes()));
        out.write_all(&bytes)?;
        Ok(bytes.len())
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        let (oldest, newest) = (get_u8(input)?, get_u8(input)?);
        let (from, to) = (get_u64(input)?, get_u64(input)?);
        let mut store = [0; 16];
        input.read_exact(&mut store)?;
        let empty = get_bool(input)?;
        let count = usize::from(get_u8(input)?) << 8 | usize::from(get_u8(input)?);
        if count > MAX_INITIAL {
            return Err(invalid(format!("a list of {count} nodes is out of range")));
        }
        let initial = (0..count).map(|_| get_u64(input)).collect::<io::Result<_>>()?;
        Ok(Hello { oldest, newest, from, to, store, empty, initial })
    }
}

impl Wire for HelloReply {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        let bytes = match self {
            HelloReply::Hello(hello) => {
                out.write_all(&[0])?;
                return Ok(1 + hello.put(out)?);
            }
            HelloReply::Refused(HelloRefusal::Protocol { oldest, newest }) => vec![1, *oldest, *newest],
            HelloReply::Refused(HelloRefusal::OtherNode { found }) => [&[2][..], &found.to_be_bytes()].concat(),
            HelloReply::Refused(HelloRefusal::OtherStore) => vec![3],
        };
        out.write_all(&bytes)?;
        Ok(bytes.len())
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        Ok(match get_u8(input)? {
            0 => HelloReply::Hello(Hello::get(input)?),
            1 => HelloReply::Refused(HelloRefusal::Protocol { oldest: get_u8(input)?, newest: get_u8(input)? }),
            2 => HelloReply::Refused(HelloRefusal::OtherNode { found: get_u64(input)? }),
            3 => HelloReply::Refused(HelloRefusal::OtherStore),
            other => return Err(invalid(format!("unknown kind of welcome {other}"))),
        })
    }
}

impl Wire for AppendEntriesRequest<TypeConfig> {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        let mut len = self.vote.put(out)? + self.prev_log_id.put(out)? + self.leader_commit.put(out)? + 4;
        let count = u32::try_from(self.entries.len()).map_err(|_| invalid("too many entries"))?;
        out.write_all(&count.to_be_bytes())?;
        for entry in &self.entries {
            len += entry.log_id.put(out)? + entry.payload.put(out)?;
        }
        Ok(len)
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        let (vote, prev_log_id, leader_commit) = (Vote::get(input)?, Option::get(input)?, Option::get(input)?);
        let mut count = [0; 4];
        input.read_exact(&mut count)?;
        let mut entries = Vec::new();
        for _ in 0..u32::from_be_bytes(count) {
            entries.push(LogEntry { log_id: LogId::get(input)?, payload: EntryPayload::get(input)? });
        }
        Ok(Self { vote, prev_log_id, entries, leader_commit })
    }
}

impl Wire for AppendEntriesResponse<NodeId> {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        let tag = match self {
            Self::Success => 0,
            Self::PartialSuccess(_) => 1,
            Self::Conflict => 2,
            Self::HigherVote(_) => 3,
        };
        out.write_all(&[tag])?;
        Ok(1 + match self {
            Self::Success | Self::Conflict => 0,
            Self::PartialSuccess(matched) => matched.put(out)?,
            Self::HigherVote(vote) => vote.put(out)?,
        })
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        Ok(match get_u8(input)? {
            0 => Self::Success,
            1 => Self::PartialSuccess(Option::get(input)?),
            2 => Self::Conflict,
            3 => Self::HigherVote(Vote::get(input)?),
            other => return Err(invalid(format!("unknown answer {other} to entries"))),
        })
    }
}

impl Wire for VoteRequest<NodeId> {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        Ok(self.vote.put(out)? + self.last_log_id.put(out)?)
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        Ok(Self { vote: Vote::get(input)?, last_log_id: Option::get(input)? })
    }
}

impl Wire for VoteResponse<NodeId> {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        out.write_all(&[self.vote_granted.into()])?;
        Ok(1 + self.vote.put(out)? + self.last_log_id.put(out)?)
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        let vote_granted = get_bool(input)?;
        Ok(Self { vote: Vote::get(input)?, vote_granted, last_log_id: Option::get(input)? })
    }
}

/// Announces a snapshot; its file follows in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotBegin {
    pub vote: Vote,
    pub meta: SnapshotMeta,
}

impl Wire for SnapshotBegin {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        Ok(self.vote.put(out)? + self.meta.put(out)?)
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        Ok(Self { vote: Vote::get(input)?, meta: SnapshotMeta::get(input)? })
    }
}

impl Wire for bool {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        out.write_all(&[(*self).into()])?;
        Ok(1)
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        get_bool(input)
    }
}
