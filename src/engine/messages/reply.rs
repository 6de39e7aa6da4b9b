//! What one node's engine answers to another's.

use super::codec::{Reader, VERSION, WireError, put_tagged, put_text};
use super::digest::Verdict;
use super::member_codec::{put_member_error, take_member_error};
use super::members::MemberLine;
use crate::domain::Timestamp;
use crate::engine::error::MemberError;

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
            Reply::NotLeader => out.push(1),
            Reply::NoQuorum => out.push(2),
            Reply::Busy => out.push(3),
            Reply::Accepted { epoch, now } => {
                put_tagged(&mut out, 4, *epoch);
                out.extend(now.0.to_be_bytes());
            }
            Reply::ReadIndex { index, now } => {
                put_tagged(&mut out, 5, *index);
                out.extend(now.0.to_be_bytes());
            }
            Reply::Changed => out.push(6),
            Reply::NotAccepted { reason } => {
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
                put_member_error(&mut out, error);
            }
            Reply::OutcomeUnknown => out.push(11),
            Reply::NotMember => out.push(12),
            Reply::Identity { table_id, leads } => {
                put_tagged(&mut out, 13, *table_id);
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
            7 => Reply::NotAccepted { reason: take.text()? },
            8 => {
                let count = take.u32()?;
                Reply::Members { members: (0..count).map(|_| MemberLine::take(&mut take)).collect::<Result<_, _>>()? }
            }
            9 => Reply::NotUnderstood,
            10 => Reply::Refused(take_member_error(&mut take)?),
            11 => Reply::OutcomeUnknown,
            12 => Reply::NotMember,
            13 => Reply::Identity { table_id: take.u64()?, leads: take.u8()? != 0 },
            14 => Reply::Compared(match take.u8()? {
                0 => Verdict::Agrees,
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
