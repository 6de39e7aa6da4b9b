//! Members and the reasons for refusing a change of them, as bytes.

use super::MemberError;
use super::wire::{Reader, WireError, put_text};

/// One member as the leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberLine {
    pub node: u64,
    pub address: String,
    pub voter: bool,
    pub up: bool,
    /// Log entries that it has not acknowledged yet, where the leader knows.
    pub lag_entries: Option<u64>,
}

impl MemberLine {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.node.to_be_bytes());
        put_text(out, &self.address);
        out.extend([self.voter, self.up, self.lag_entries.is_some()].map(u8::from));
        out.extend(self.lag_entries.unwrap_or(0).to_be_bytes());
    }

    pub(super) fn take(take: &mut Reader<'_>) -> Result<MemberLine, WireError> {
        let (node, address) = (take.u64()?, take.text()?);
        let (voter, up, knows_lag) = (take.flag()?, take.flag()?, take.flag()?);
        let lag = take.u64()?;
        Ok(MemberLine { node, address, voter, up, lag_entries: knows_lag.then_some(lag) })
    }
}

/// Every error as its kind, one number for the node, one for the lag, and two texts: the same shape for all.
pub(super) fn put_error(out: &mut Vec<u8>, error: &MemberError) {
    let (kind, node, lag, first, second) = match error {
        MemberError::Alone => (0, 0, 0, "", ""),
        MemberError::BadAddress(address) => (1, 0, 0, address.as_str(), ""),
        MemberError::Unknown(node) => (2, *node, 0, "", ""),
        MemberError::AlreadyMember { node, address } => (3, *node, 0, address.as_str(), ""),
        MemberError::AlreadyVoter(node) => (4, *node, 0, "", ""),
        MemberError::Unreachable { node, address, reason } => (5, *node, 0, address.as_str(), reason.as_str()),
        MemberError::NotCaughtUp { node, lag_entries } => (6, *node, *lag_entries, "", ""),
        MemberError::WouldLoseQuorum(node) => (7, *node, 0, "", ""),
        MemberError::Busy => (8, 0, 0, "", ""),
    };
    out.push(kind);
    out.extend(node.to_be_bytes());
    out.extend(lag.to_be_bytes());
    put_text(out, first);
    put_text(out, second);
}

pub(super) fn take_error(take: &mut Reader<'_>) -> Result<MemberError, WireError> {
    let kind = take.u8()?;
    let (node, lag_entries) = (take.u64()?, take.u64()?);
    let (first, second) = (take.text()?, take.text()?);
    Ok(match kind {
        0 => MemberError::Alone,
        1 => MemberError::BadAddress(first),
        2 => MemberError::Unknown(node),
        3 => MemberError::AlreadyMember { node, address: first },
        4 => MemberError::AlreadyVoter(node),
        5 => MemberError::Unreachable { node, address: first, reason: second },
        6 => MemberError::NotCaughtUp { node, lag_entries },
        7 => MemberError::WouldLoseQuorum(node),
        8 => MemberError::Busy,
        value => return Err(WireError::Unknown { what: "reason", value }),
    })
}
