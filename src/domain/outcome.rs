//! What apply returns: an outcome for each command, and events for everything else that happened.

use super::freezes::{Freeze, FrozenBy};
use super::ids::{Caller, CommandId, Dialect, HoldKey, Name, SessionId, Token};
use super::refusal::Refusal;
use super::time::Timestamp;
use arcstr::ArcStr;

/// Everything that one entry did.
#[derive(Debug, Default)]
pub struct Applied {
    /// One per command, in the entry's order.
    pub outcomes: Vec<(CommandId, Outcome)>,
    pub events: Vec<Event>,
    /// Waits that began or ended, for statistics.
    pub waits: Vec<WaitNote>,
}

/// A wait in the queue of one lock has begun, or is over. It is no event: readers of events get no id for it.
#[derive(Clone, PartialEq, Debug)]
pub struct WaitNote {
    pub name: Name,
    pub since: Timestamp,
    pub session: Option<SessionId>,
    pub dialect: Dialect,
    pub caller: Caller,
    pub step: WaitStep,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitStep {
    Begun,
    Granted(Token),
    Ended(WaitEnd),
}

/// An entry of another leadership: nothing of it was applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the entry belongs to leadership {found}, the table is in {expected}")]
pub struct StaleEpoch {
    pub found: u64,
    pub expected: u64,
}

/// The result of one command.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// The new session, or the one that the same request opened before.
    SessionOpened {
        session: SessionId,
    },
    SessionClosed,
    Acquired(Grant),
    /// In the queue, with a request that waits: an event ends the wait. `position` counts those ahead.
    Waiting {
        position: u32,
    },
    /// In the queue, without a request that waits.
    Enqueued {
        position: u32,
    },
    Released {
        waiter_granted: bool,
        /// All names of a hold of several.
        names: Vec<Name>,
    },
    Renewed(Grant),
    /// The hold is exclusive or shared now, or has another owner; with its new token, and then perhaps a new key.
    Changed(Grant),
    Resized {
        size: u32,
    },
    ValueSet(Grant),
    MarkRaised {
        mark: Token,
    },
    Frozen(Box<Freeze>),
    /// The freeze that has ended.
    Thawed(Box<Freeze>),
    /// The acquire is undone, whether it waited, was granted, or was already gone.
    Cancelled(Undone),
    /// The hold exists, and now counts as delivered.
    Confirmed,
    /// The node is recorded as the command says.
    NodeRecorded,
    LevelRaised {
        level: u32,
    },
    Refused(Refusal),
    /// A command with this id was applied before.
    Duplicate,
}

/// What an acquire was when it was undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undone {
    Wait,
    /// It had been granted.
    Hold(Token),
    /// It had ended.
    Nothing,
}

/// A hold, as its owner sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct Grant {
    pub key: HoldKey,
    pub token: Token,
    pub since: Timestamp,
    /// When the lease ends; `None` without one.
    pub deadline: Option<Timestamp>,
}

/// What happened, besides the outcomes.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A token was issued, at once or to a waiter.
    Granted {
        name: Name,
        token: Token,
        /// The earlier token of the same hold: its owner label acquired it again, or it changed its mode.
        replaces: Option<Token>,
        session: Option<SessionId>,
        dialect: Dialect,
        /// Of the lock, which tells how it is held, and how much of that the hold takes.
        size: u32,
        weight: u32,
        /// What the new leader of an election says about itself; `None` for any other hold.
        value: Option<ArcStr>,
    },
    /// The leader of an election says something else about itself.
    ValueChanged {
        name: Name,
        token: Token,
        value: ArcStr,
        session: Option<SessionId>,
        dialect: Dialect,
    },
    /// An attached waiter got the lock: answers the request of `command`.
    WaiterGranted {
        command: CommandId,
        name: Name,
        grant: Grant,
        /// The node must not answer until a `ConfirmDelivery` is applied.
        unconfirmed: bool,
    },
    /// An attached waiter's wait ended without a grant.
    WaiterEnded {
        command: CommandId,
        why: WaitEnd,
        /// Of a wait that has timed out: what it waited for is frozen.
        frozen: Option<Box<FrozenBy>>,
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
        /// It was that of a leader.
        is_election: bool,
    },
    SessionEnded {
        session: SessionId,
        idle: bool,
    },
    /// A freeze begins, or has taken the place of another of the same target.
    Frozen {
        target: Name,
        freeze: Box<Freeze>,
    },
    /// A freeze has ended.
    Thawed {
        target: Name,
        freeze: Box<Freeze>,
        why: ThawReason,
    },
    /// The search for a deadlock met its limit, so the wait began without an answer.
    DeadlockSearchCut,
    /// A broken invariant: reported and counted, never fatal.
    Broken(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitEnd {
    TimedOut,
    Cancelled,
    /// By its key: its request was given up, and nobody learns of it, or an operator took it out of the queue.
    Dropped,
    SessionEnded,
    /// The hold that was to become exclusive.
    HoldEnded,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndReason {
    Released,
    Expired,
    Forced,
    SessionEnded,
    Cancelled,
    /// Another session has it now, under another key.
    Transferred,
}

impl EndReason {
    /// In log lines.
    pub fn phrase(self) -> &'static str {
        match self {
            EndReason::Released => "released",
            EndReason::Expired => "its lease is over",
            EndReason::Forced => "ended by an operator",
            EndReason::SessionEnded => "its session has ended",
            EndReason::Cancelled => "its answer could not be delivered",
            EndReason::Transferred => "another session has it now",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThawReason {
    /// Its end has come.
    Ended,
    /// An operator ended it.
    Thawed,
}
