//! Log entries: a batch of commands under one cluster time, or the start of a leadership.

use super::command::Command;
use super::ids::{CommandId, Incarnation, NodeId, SessionId, StoreId};
use super::limits::Limits;
use super::time::Timestamp;

/// One entry of the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The leader's cluster time when it proposed this entry.
    pub at: Timestamp,
    /// The leadership that proposed it; apply refuses entries of any other.
    pub epoch: u64,
    pub body: Body,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    /// The first entry of a leadership.
    LeaderStart(LeaderStart),
    /// Commands in order of arrival. Without commands the entry only advances time.
    Batch {
        /// Sessions that requests used since the last entry without writing anything.
        touches: Vec<SessionId>,
        /// More touches follow in the next entry: until then no session may expire.
        more_touches: bool,
        commands: Vec<Submitted>,
    },
}

/// Starts a leadership: sets the limits, records the leader's incarnation, and drops requests of dead incarnations.
#[derive(Clone, PartialEq, Debug)]
pub struct LeaderStart {
    /// The first fencing token of a new table. An older table raises its next token to this one, because its log may have
    /// lost the latest tokens. 0 if the clock cannot be trusted.
    pub first_token: u64,
    pub limits: Limits,
    /// The leader.
    pub node: NodeId,
    /// Its incarnation; an incarnation recorded before is over.
    pub incarnation: Incarnation,
    pub store: StoreId,
    /// The feature level that the leader supports; a new table starts at it.
    pub level: u32,
    /// Whether a grant to a waiter stays unconfirmed until the waiter's node says that it can answer: true where the
    /// service outlives a node.
    pub confirm: bool,
}

/// A command with the id that makes sure it is applied once.
#[derive(Clone, PartialEq, Debug)]
pub struct Submitted {
    pub id: CommandId,
    pub command: Command,
}
