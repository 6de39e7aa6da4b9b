//! Why the engine could not answer. What the table itself refuses is a [`Refusal`].

use crate::base::TooFast;
use crate::domain::Refusal;
use crate::raft::{MemberError, NodeState, ProposeError};

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
    #[error("{}", NodeState::Wiped { node: *.0 })]
    Wiped(u64),
    #[error("{}", NodeState::Removed { node: *.0 })]
    Removed(u64),
    /// The table of this node is not that of the others.
    #[error("{}", NodeState::Diverged { node: *.0 })]
    Differs(u64),
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
    /// More requests for these names than a rate allows.
    TooFast(TooFast),
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

impl From<TooFast> for Fault {
    fn from(refused: TooFast) -> Fault {
        Fault::TooFast(refused)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}
