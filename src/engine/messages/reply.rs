//! What one node's engine answers to another's.

use super::codec::{MessageError, VERSION, open, put_tagged, put_text, take_text, unknown};
use super::digest::Verdict;
use super::member_codec::{put_member_error, take_member_error};
use super::members::MemberLine;
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

impl Reply {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Reply::NotLeader => out.put_u8(1),
            Reply::NoQuorum => out.put_u8(2),
            Reply::Busy => out.put_u8(3),
            Reply::Accepted { epoch, now } => {
                put_tagged(&mut out, 4, *epoch);
                out.put_be_u64(now.0);
            }
            Reply::ReadIndex { index, now } => {
                put_tagged(&mut out, 5, *index);
                out.put_be_u64(now.0);
            }
            Reply::Changed => out.put_u8(6),
            Reply::NotAccepted { reason } => {
                out.put_u8(7);
                put_text(&mut out, reason);
            }
            Reply::Members { members } => {
                out.put_u8(8);
                out.put_be_u32(members.len() as u32);
                members.iter().for_each(|member| member.put(&mut out));
            }
            Reply::NotUnderstood => out.put_u8(9),
            Reply::Refused(error) => {
                out.put_u8(10);
                put_member_error(&mut out, error);
            }
            Reply::OutcomeUnknown => out.put_u8(11),
            Reply::NotMember => out.put_u8(12),
            Reply::Identity { table_id, leads } => {
                put_tagged(&mut out, 13, *table_id);
                out.put_flag(*leads);
            }
            Reply::Compared(verdict) => out.put_bytes(&[14, *verdict as u8]),
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Reply, MessageError> {
        let mut take = open(bytes)?;
        let reply = match take.u8()? {
            1 => Reply::NotLeader,
            2 => Reply::NoQuorum,
            3 => Reply::Busy,
            4 => Reply::Accepted { epoch: take.be_u64()?, now: Timestamp(take.be_u64()?) },
            5 => Reply::ReadIndex { index: take.be_u64()?, now: Timestamp(take.be_u64()?) },
            6 => Reply::Changed,
            7 => Reply::NotAccepted { reason: take_text(&mut take)? },
            8 => {
                let count = take.be_u32()?;
                Reply::Members { members: (0..count).map(|_| MemberLine::take(&mut take)).collect::<Result<_, _>>()? }
            }
            9 => Reply::NotUnderstood,
            10 => Reply::Refused(take_member_error(&mut take)?),
            11 => Reply::OutcomeUnknown,
            12 => Reply::NotMember,
            13 => Reply::Identity { table_id: take.be_u64()?, leads: take.u8()? != 0 },
            14 => {
                let verdict = take.u8()?;
                Reply::Compared(Verdict::from_u8(verdict).ok_or_else(|| unknown("verdict", verdict))?)
            }
            value => return Err(unknown("reply", value)),
        };
        take.end()?;
        Ok(reply)
    }
}
