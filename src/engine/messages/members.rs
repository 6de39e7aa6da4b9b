//! The members of the cluster as the leader reports them, and why the membership was not changed.

use super::codec::{MessageError, put_text, take_text, unknown};
use crate::base::codec::{Decoder, Encode};
use crate::raft::MemberError;

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

impl MemberLine {
    pub fn put(&self, out: &mut Vec<u8>) {
        out.put_be_u64(self.node);
        put_text(out, &self.address);
        [self.voter, self.up, self.lag_entries.is_some()].into_iter().for_each(|flag| out.put_flag(flag));
        out.put_be_u64(self.lag_entries.unwrap_or(0));
    }

    pub fn take(take: &mut Decoder<'_>) -> Result<MemberLine, MessageError> {
        let (node, address) = (take.be_u64()?, take_text(take)?);
        let (voter, up, knows_lag) = (take.flag()?, take.flag()?, take.flag()?);
        let lag = take.be_u64()?;
        Ok(MemberLine { node, address, voter, up, lag_entries: knows_lag.then_some(lag) })
    }
}

const WOULD_LOSE_QUORUM: u8 = 7;
const ONLY_VOTER: u64 = 1;

/// Each error has the same shape: its kind, a number for the node, one for the lag, and two texts.
pub fn put_member_error(out: &mut Vec<u8>, error: &MemberError) {
    let (kind, node, lag, first, second) = match error {
        MemberError::Alone => (0, 0, 0, "", ""),
        MemberError::BadAddress(address) => (1, 0, 0, address.as_str(), ""),
        MemberError::Unknown(node) => (2, *node, 0, "", ""),
        MemberError::AlreadyMember { node, address } => (3, *node, 0, address.as_str(), ""),
        MemberError::AlreadyVoter(node) => (4, *node, 0, "", ""),
        MemberError::Unreachable { node, address, reason } => (5, *node, 0, address.as_str(), reason.as_str()),
        MemberError::NotCaughtUp { node, lag_entries } => (6, *node, *lag_entries, "", ""),
        // Older releases know no kind of its own for it, and ignore the last number of this one.
        MemberError::LastVoter(node) => (WOULD_LOSE_QUORUM, *node, ONLY_VOTER, "", ""),
        MemberError::WouldLoseQuorum(node) => (WOULD_LOSE_QUORUM, *node, 0, "", ""),
        MemberError::Busy => (8, 0, 0, "", ""),
    };
    out.put_u8(kind);
    out.put_be_u64(node);
    out.put_be_u64(lag);
    put_text(out, first);
    put_text(out, second);
}

pub fn take_member_error(take: &mut Decoder<'_>) -> Result<MemberError, MessageError> {
    let kind = take.u8()?;
    let (node, lag_entries) = (take.be_u64()?, take.be_u64()?);
    let (first, second) = (take_text(take)?, take_text(take)?);
    Ok(match kind {
        0 => MemberError::Alone,
        1 => MemberError::BadAddress(first),
        2 => MemberError::Unknown(node),
        3 => MemberError::AlreadyMember { node, address: first },
        4 => MemberError::AlreadyVoter(node),
        5 => MemberError::Unreachable { node, address: first, reason: second },
        6 => MemberError::NotCaughtUp { node, lag_entries },
        WOULD_LOSE_QUORUM if lag_entries == ONLY_VOTER => MemberError::LastVoter(node),
        WOULD_LOSE_QUORUM => MemberError::WouldLoseQuorum(node),
        8 => MemberError::Busy,
        value => return Err(unknown("reason", value)),
    })
}
