//! What one node's engine answers to another's.

use super::codec::{MessageError, VERSION, open, put_tagged, put_text, take_text, unknown};
use super::members::{MemberLine, put_member_error, take_member_error};
use super::request::Verdict;
use crate::base::byte_enum;
use crate::base::codec::Encode;
use crate::domain::Timestamp;
use crate::raft::MemberError;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Nothing was done.
    NotLeader,
    /// Nothing was done: the leader has no quorum at the moment.
    NoQuorum,
    /// Nothing was done: the leader's queue is full.
    Busy,
    /// Queued, or known, in the leadership `epoch`. A later leadership has forgotten what was queued: it is sent again.
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
    /// Proposed; whether it was applied was not seen.
    OutcomeUnknown,
    /// The leader does not accept this node, for a reason in words.
    NotAccepted {
        reason: String,
    },
    /// The membership was not changed.
    Refused(MemberError),
    Members {
        members: Vec<MemberLine>,
    },
    /// The leader's verdict on a digest.
    Compared(Verdict),
    /// The other node speaks another version.
    NotUnderstood,
    /// The leader, with a quorum, says that the asking node is not a member any more.
    NotMember,
    /// The id of the table, and whether the node leads.
    Identity {
        table_id: u64,
        leads: bool,
    },
}

byte_enum! {
    /// The first byte of a reply after the version. Never reused.
    enum Tag {
        NotLeader = 1,
        NoQuorum = 2,
        Busy = 3,
        Accepted = 4,
        ReadIndex = 5,
        Changed = 6,
        NotAccepted = 7,
        Members = 8,
        NotUnderstood = 9,
        Refused = 10,
        OutcomeUnknown = 11,
        NotMember = 12,
        Identity = 13,
        Compared = 14,
    }
}

impl Reply {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Reply::NotLeader => out.put_u8(Tag::NotLeader as u8),
            Reply::NoQuorum => out.put_u8(Tag::NoQuorum as u8),
            Reply::Busy => out.put_u8(Tag::Busy as u8),
            Reply::Accepted { epoch, now } => {
                put_tagged(&mut out, Tag::Accepted as u8, *epoch);
                out.put_be_u64(now.0);
            }
            Reply::ReadIndex { index, now } => {
                put_tagged(&mut out, Tag::ReadIndex as u8, *index);
                out.put_be_u64(now.0);
            }
            Reply::Changed => out.put_u8(Tag::Changed as u8),
            Reply::NotAccepted { reason } => {
                out.put_u8(Tag::NotAccepted as u8);
                put_text(&mut out, reason);
            }
            Reply::Members { members } => {
                out.put_u8(Tag::Members as u8);
                out.put_be_u32(members.len() as u32);
                members.iter().for_each(|member| member.put(&mut out));
            }
            Reply::NotUnderstood => out.put_u8(Tag::NotUnderstood as u8),
            Reply::Refused(error) => {
                out.put_u8(Tag::Refused as u8);
                put_member_error(&mut out, error);
            }
            Reply::OutcomeUnknown => out.put_u8(Tag::OutcomeUnknown as u8),
            Reply::NotMember => out.put_u8(Tag::NotMember as u8),
            Reply::Identity { table_id, leads } => {
                put_tagged(&mut out, Tag::Identity as u8, *table_id);
                out.put_flag(*leads);
            }
            Reply::Compared(verdict) => out.put_bytes(&[Tag::Compared as u8, *verdict as u8]),
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Reply, MessageError> {
        let mut take = open(bytes)?;
        let tag = take.u8()?;
        let reply = match Tag::from_u8(tag).ok_or_else(|| unknown("reply", tag))? {
            Tag::NotLeader => Reply::NotLeader,
            Tag::NoQuorum => Reply::NoQuorum,
            Tag::Busy => Reply::Busy,
            Tag::Accepted => Reply::Accepted { epoch: take.be_u64()?, now: Timestamp(take.be_u64()?) },
            Tag::ReadIndex => Reply::ReadIndex { index: take.be_u64()?, now: Timestamp(take.be_u64()?) },
            Tag::Changed => Reply::Changed,
            Tag::NotAccepted => Reply::NotAccepted { reason: take_text(&mut take)? },
            Tag::Members => {
                let count = take.be_u32()?;
                Reply::Members { members: (0..count).map(|_| MemberLine::take(&mut take)).collect::<Result<_, _>>()? }
            }
            Tag::NotUnderstood => Reply::NotUnderstood,
            Tag::Refused => Reply::Refused(take_member_error(&mut take)?),
            Tag::OutcomeUnknown => Reply::OutcomeUnknown,
            Tag::NotMember => Reply::NotMember,
            Tag::Identity => Reply::Identity { table_id: take.be_u64()?, leads: take.u8()? != 0 },
            Tag::Compared => {
                let verdict = take.u8()?;
                Reply::Compared(Verdict::from_u8(verdict).ok_or_else(|| unknown("verdict", verdict))?)
            }
        };
        take.end()?;
        Ok(reply)
    }
}
