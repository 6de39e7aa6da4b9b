//! What one node's engine answers to another's.

use super::codec::Version1;
use super::request::Verdict;
use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::base::value::{Value, record, variants};
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

/// The shape of every member error: what is not part of it is 0, or empty.
#[derive(Default)]
struct ErrorFields {
    kind: u8,
    node: u64,
    lag_entries: u64,
    address: String,
    reason: String,
}

record!(ErrorFields { kind, node, lag_entries, address, reason } in Version1);

const WOULD_LOSE_QUORUM: u8 = 7;
const ONLY_VOTER: u64 = 1;

/// Declares the number of each member error and where its parts are, once for both directions.
macro_rules! member_errors {
    ($($kind:literal = $variant:ident { $($part:tt: $field:ident),* },)+) => {
        impl ErrorFields {
            fn of(error: MemberError) -> ErrorFields {
                match error {
                    // Older releases know no kind of its own for it, and ignore the lag of this one.
                    MemberError::LastVoter(node) => {
                        ErrorFields { kind: WOULD_LOSE_QUORUM, node, lag_entries: ONLY_VOTER, ..ErrorFields::default() }
                    }
                    $(MemberError::$variant { $($part: $field),* } => {
                        ErrorFields { kind: $kind, $($field,)* ..ErrorFields::default() }
                    })+
                }
            }

            fn error(self) -> Result<MemberError, DecodeError> {
                Ok(match self.kind {
                    WOULD_LOSE_QUORUM if self.lag_entries == ONLY_VOTER => MemberError::LastVoter(self.node),
                    $($kind => MemberError::$variant { $($part: self.$field),* },)+
                    value => return Err(DecodeError::Unknown { what: "reason", value: value.into() }),
                })
            }
        }
    };
}

member_errors! {
    0 = Alone {},
    1 = BadAddress { 0: address },
    2 = Unknown { 0: node },
    3 = AlreadyMember { node: node, address: address },
    4 = AlreadyVoter { 0: node },
    5 = Unreachable { node: node, address: address, reason: reason },
    6 = NotCaughtUp { node: node, lag_entries: lag_entries },
    7 = WouldLoseQuorum { 0: node },
    8 = Busy {},
}

impl Value<Version1> for MemberError {
    fn put(&self, out: &mut Vec<u8>, format: Version1) {
        ErrorFields::of(self.clone()).put(out, format);
    }

    fn get(input: &mut Decoder<'_>, format: Version1) -> Result<Self, DecodeError> {
        ErrorFields::get(input, format)?.error()
    }
}
