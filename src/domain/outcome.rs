//! What apply answers: an outcome for each command, and events for what happened besides.

use super::ids::{CommandId, Dialect, HoldKey, Name, SessionId, Token};
use super::limits::{Field, Pool, ShareOf};
use super::metadata::Metadata;
use super::time::Timestamp;

/// All that one entry did.
#[derive(Debug, Default)]
pub struct Applied {
    /// One per command, in the entry's order.
    pub outcomes: Vec<(CommandId, Outcome)>,
    pub events: Vec<Event>,
}

/// The result of one command. A refusal is an answer, not an error.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// The session asked for, or the one that the same request opened before.
    SessionOpened {
        session: SessionId,
    },
    SessionClosed,
    Acquired(Grant),
    /// In the queue; an event ends the wait. `position` counts those ahead.
    Queued {
        position: u32,
    },
    /// In the queue without a request that waits: this is the answer.
    Enqueued {
        position: u32,
    },
    Released {
        waiter_granted: bool,
    },
    Renewed(Grant),
    /// The acquire is undone, whether it waited, held, or was already gone.
    Cancelled,
    /// The hold is there, and now counts as delivered.
    Confirmed,
    /// What is known of the node is as the command says.
    NodeRecorded,
    LevelRaised {
        level: u32,
    },
    Refused(Refusal),
    /// Applied before under the same id; its outcome went out then.
    Duplicate,
}

/// A hold as its owner gets it.
#[derive(Clone, PartialEq, Debug)]
pub struct Grant {
    pub key: HoldKey,
    pub token: Token,
    pub since: Timestamp,
    /// When the lease ends; `None` without one.
    pub deadline: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Refusal {
    SessionUnknown,
    SessionExists,
    /// The session was opened with another credential.
    SessionOfAnother,
    /// All room is taken, or others of the same or a higher priority wait.
    Held(Box<HeldBy>),
    /// The wait ended without a grant.
    WaitTimedOut,
    /// The waiter was removed before its turn (its session ended, or its request was cancelled).
    WaitCancelled,
    SizeMismatch {
        size: u32,
    },
    ZeroSize,
    /// Nothing is known under this name.
    NoSuchLock,
    /// The lock exists, but this proof opens none of its holds.
    WrongKey,
    /// The lock exists, but this owner label has no hold of it.
    NotOwner,
    /// The owner label has a hold, but with another token.
    TokenMismatch,
    /// The owner label has no waiter here.
    NotWaiting,
    /// A lease cannot be renewed where none was asked for.
    NoLease,
    LimitExceeded {
        field: Field,
        limit: u64,
    },
    NulInName,
    /// A waiter's hold would have neither a lease nor a session to end it.
    UnboundedHold,
    QueueFull {
        limit: u64,
    },
    HoldsFull {
        limit: u64,
    },
    SessionHoldsFull {
        limit: u64,
    },
    SessionsFull {
        limit: u64,
    },
    /// No more idempotency keys can be kept.
    RequestsFull {
        limit: u64,
    },
    /// The table takes as many bytes as it may.
    TableFull {
        limit: u64,
    },
    /// The caller has as much of a pool as one may have.
    ShareFull {
        pool: Pool,
        whose: ShareOf,
        limit: u64,
    },
    /// Another request was made under the same idempotency key.
    RequestReused,
    /// What the request was given before has ended: it is not given a second time.
    RequestEnded,
    /// 2^53 tokens were given.
    TokensExhausted,
    /// The command comes from a process run that is not recorded, or that was declared dead.
    UnknownIncarnation,
    /// No such run of that node is recorded as living.
    NodeUnknown,
    /// The node comes with another data directory than the one recorded.
    StoreMismatch,
    /// A node does not know this feature level, or the table is at it already.
    LevelRefused {
        level: u32,
    },
    /// A broken invariant; nothing was changed.
    Broken(&'static str),
}

/// What a refused caller may know of those in its way.
#[derive(Clone, PartialEq, Debug)]
pub struct HeldBy {
    pub since: Timestamp,
    /// The earliest moment at which a hold ends if nothing more is heard of its owner; `None` where none does.
    pub deadline: Option<Timestamp>,
    /// Of the oldest hold.
    pub metadata: Metadata,
    pub token: Token,
    pub waiters: u32,
}

/// What happened besides the answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A token was given, whether at once or to a waiter.
    Granted {
        name: Name,
        token: Token,
        /// The token that the same hold had before: its owner label asked again.
        replaces: Option<Token>,
        session: Option<SessionId>,
        dialect: Dialect,
    },
    /// An attached waiter's turn came: answers the request of `command`.
    WaiterGranted {
        command: CommandId,
        name: Name,
        grant: Grant,
        /// The answer must wait until a `ConfirmDelivery` is applied.
        unconfirmed: bool,
    },
    /// An attached waiter's wait ended without a grant.
    WaiterEnded {
        command: CommandId,
        why: WaitEnd,
    },
    HoldEnded {
        name: Name,
        token: Token,
        why: EndReason,
        session: Option<SessionId>,
        dialect: Dialect,
        since: Timestamp,
        /// When its lease would have ended.
        deadline: Option<Timestamp>,
    },
    SessionEnded {
        session: SessionId,
        idle: bool,
    },
    /// A broken invariant: named, counted, never fatal.
    Broken(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitEnd {
    TimedOut,
    Cancelled,
    SessionEnded,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndReason {
    Released,
    Expired,
    Forced,
    SessionEnded,
    Cancelled,
}
