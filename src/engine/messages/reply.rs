//! What one node's engine answers to another's.

use super::codec::Version1;
use super::request::Verdict;
use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::base::value::{Value, variants};
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
    /// No entry after `index` has an earlier stamp than `entries_from`.
    ReadPoint {
        index: u64,
        now: Timestamp,
        entries_from: Timestamp,
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

variants! {
    Reply in Version1 as "reply",
    1 = NotLeader,
    2 = NoQuorum,
    3 = Busy,
    4 = Accepted { epoch, now },
    5 = ReadIndex { index, now },
    6 = Changed,
    7 = NotAccepted { reason },
    8 = Members { members },
    9 = NotUnderstood,
    10 = Refused(error),
    11 = OutcomeUnknown,
    12 = NotMember,
    13 = Identity { table_id, leads },
    14 = Compared(verdict),
    15 = ReadPoint { index, now, entries_from },
}

/// One member as the leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberLine {
    pub node: u64,
    pub address: String,
    pub voter: bool,
    pub up: bool,
    /// Log entries that it has not acknowledged yet, if the leader knows.
    pub lag_entries: Option<u64>,
}

impl Value<Version1> for MemberLine {
    /// The flags come together, and there is always a number for the lag.
    fn put(&self, out: &mut Vec<u8>, format: Version1) {
        self.node.put(out, format);
        self.address.put(out, format);
        [self.voter, self.up, self.lag_entries.is_some()].into_iter().for_each(|flag| out.put_flag(flag));
        out.put_be_u64(self.lag_entries.unwrap_or(0));
    }

    fn get(input: &mut Decoder<'_>, format: Version1) -> Result<Self, DecodeError> {
        let (node, address) = (input.be_u64()?, Value::get(input, format)?);
        let (voter, up, knows_lag) = (input.flag()?, input.flag()?, input.flag()?);
        let lag = input.be_u64()?;
        Ok(MemberLine { node, address, voter, up, lag_entries: knows_lag.then_some(lag) })
    }
}

impl Value<Version1> for Vec<MemberLine> {
    fn put(&self, out: &mut Vec<u8>, format: Version1) {
        out.put_be_u32(self.len() as u32);
        self.iter().for_each(|member| member.put(out, format));
    }

    fn get(input: &mut Decoder<'_>, format: Version1) -> Result<Self, DecodeError> {
        (0..input.be_u32()?).map(|_| Value::get(input, format)).collect()
    }
}

/// Older releases know no number of its own for the only voter: it is this error with a lag, which they ignore.
const WOULD_LOSE_QUORUM: u8 = 7;
const ONLY_VOTER: u64 = 1;

/// A number, then the parts of every member error: what is not part of it is 0, or empty.
impl Value<Version1> for MemberError {
    fn put(&self, out: &mut Vec<u8>, format: Version1) {
        let (kind, node, lag_entries, address, reason) = match self {
            MemberError::Alone => (0, 0, 0, "", ""),
            MemberError::BadAddress(address) => (1, 0, 0, address.as_str(), ""),
            MemberError::Unknown(node) => (2, *node, 0, "", ""),
            MemberError::AlreadyMember { node, address } => (3, *node, 0, address.as_str(), ""),
            MemberError::AlreadyVoter(node) => (4, *node, 0, "", ""),
            MemberError::Unreachable { node, address, reason } => (5, *node, 0, address.as_str(), reason.as_str()),
            MemberError::NotCaughtUp { node, lag_entries } => (6, *node, *lag_entries, "", ""),
            MemberError::LastVoter(node) => (WOULD_LOSE_QUORUM, *node, ONLY_VOTER, "", ""),
            MemberError::WouldLoseQuorum(node) => (WOULD_LOSE_QUORUM, *node, 0, "", ""),
            MemberError::Busy => (8, 0, 0, "", ""),
        };
        out.put_u8(kind);
        [node, lag_entries].into_iter().for_each(|number| out.put_be_u64(number));
        [address, reason].into_iter().for_each(|text| text.to_owned().put(out, format));
    }

    fn get(input: &mut Decoder<'_>, format: Version1) -> Result<Self, DecodeError> {
        let (kind, node, lag_entries) = (input.u8()?, input.be_u64()?, input.be_u64()?);
        let (address, reason) = (Value::get(input, format)?, Value::get(input, format)?);
        Ok(match kind {
            0 => MemberError::Alone,
            1 => MemberError::BadAddress(address),
            2 => MemberError::Unknown(node),
            3 => MemberError::AlreadyMember { node, address },
            4 => MemberError::AlreadyVoter(node),
            5 => MemberError::Unreachable { node, address, reason },
            6 => MemberError::NotCaughtUp { node, lag_entries },
            WOULD_LOSE_QUORUM if lag_entries == ONLY_VOTER => MemberError::LastVoter(node),
            WOULD_LOSE_QUORUM => MemberError::WouldLoseQuorum(node),
            8 => MemberError::Busy,
            value => return Err(DecodeError::Unknown { what: "reason", value: value.into() }),
        })
    }
}
