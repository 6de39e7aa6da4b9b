//! Why the engine could not answer. What the table itself refuses is a [`Refusal`].

use crate::domain::Refusal;
use crate::raft::{DivergedNode, ProposeError, RemovedNode, WipedNode};

/// Few, because each needs its own words in every dialect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EngineError {
    #[error("this node does not lead and cannot reach the leader")]
    NotLeader,
    #[error("no quorum: nothing was proposed")]
    NoQuorum,
    #[error("the server is shutting down")]
    ShuttingDown,
    /// Proposed; whether it was applied was not seen.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    #[error("the log cannot be written")]
    StorageFailed,
    /// The queue of commands is full.
    #[error("too many requests are waiting for the log")]
    Overloaded,
    /// Free space on the data disk is below `storage.min_free_bytes`: no new holds, releases and renewals pass.
    #[error("the data disk is nearly full: no new locks or sessions until space is freed")]
    DiskNearlyFull,
    /// Nothing can be written at all; reads go on.
    #[error("the data disk is full: nothing is changed until there is room")]
    DiskFull,
    /// Its disk was lost: an operator must remove this node and add it again.
    #[error("{0}")]
    Wiped(WipedNode),
    #[error("{0}")]
    Removed(RemovedNode),
    /// The table of this node is not that of the others.
    #[error("{0}")]
    Differs(DivergedNode),
}

impl From<ProposeError> for EngineError {
    fn from(error: ProposeError) -> EngineError {
        match error {
            ProposeError::NotLeader { .. } => EngineError::NotLeader,
            ProposeError::NoQuorum => EngineError::NoQuorum,
            ProposeError::OutcomeUnknown => EngineError::OutcomeUnknown,
            ProposeError::ShuttingDown => EngineError::ShuttingDown,
            ProposeError::StorageFailed => EngineError::StorageFailed,
        }
    }
}

/// Why a request was not fulfilled.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    Refused(Refusal),
    Engine(EngineError),
    /// The membership was not changed.
    Member(MemberError),
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Fault {
        Fault::Engine(error)
    }
}

impl From<MemberError> for Fault {
    fn from(error: MemberError) -> Fault {
        Fault::Member(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}

/// Why the membership was not changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MemberError {
    #[error("this node runs alone: start it with --peer-listen and its certificates to grow a cluster")]
    Alone,
    #[error("the address {0:?} is not accepted: expected a URL like https://10.0.0.4:9443")]
    BadAddress(String),
    #[error("node {0} is no member: `latchd members list` shows who is")]
    Unknown(u64),
    #[error(
        "node {node} is a member already, at {address}: if it is to come back anew, `latchd members remove {node}` first, \
         then add it"
    )]
    AlreadyMember { node: u64, address: String },
    #[error("node {0} has a vote already")]
    AlreadyVoter(u64),
    #[error("node {node} at {address} cannot be added: {reason}")]
    Unreachable { node: u64, address: String, reason: String },
    #[error(
        "node {node} lacks {lag_entries} log entries: `latchd members promote {node}` when `latchd members list` shows it \
         close to 0"
    )]
    NotCaughtUp { node: u64, lag_entries: u64 },
    #[error("without node {0} too few of the voters would be up to decide anything: bring another node up first")]
    WouldLoseQuorum(u64),
    #[error("another change of the membership is not finished: ask again")]
    Busy,
}
