//! What is asked of the table: commands, and the log entries that carry them.

use super::caller::Caller;
use super::ids::{CommandId, Dialect, HoldKey, IdempotencyKey, Incarnation, Name, NodeId, SessionId, StoreId, Token};
use super::limits::Limits;
use super::metadata::Metadata;
use super::time::Timestamp;
use std::sync::Arc;

/// One record of the log: everything that waited at one moment, under one stamp of cluster time.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The leader's cluster time when it proposed this.
    pub at: Timestamp,
    /// The leadership under which it was proposed; apply refuses any other.
    pub epoch: u64,
    pub body: Body,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    /// The first entry of a leadership.
    LeaderStart(LeaderStart),
    /// Commands in order of arrival; none at all is a tick.
    Batch {
        /// Sessions seen since the last entry by requests that wrote nothing.
        touches: Vec<SessionId>,
        /// Sightings beyond this entry's bound wait for the next one: until then no session ends idle.
        more_touches: bool,
        commands: Vec<Submitted>,
    },
}

/// Opens a leadership: sets its limits, records the leader's process run, and forgets the requests of dead runs.
#[derive(Clone, PartialEq, Debug)]
pub struct LeaderStart {
    /// Where the fencing tokens of a fresh table begin. Those of another go on from here, if they are below: its log may
    /// have lost the newest. 0 where the clock cannot be believed.
    pub first_token: u64,
    pub limits: Limits,
    /// The node that leads.
    pub node: NodeId,
    /// The run of its process; a run recorded before is over.
    pub incarnation: Incarnation,
    pub store: StoreId,
    /// The feature level that the leader knows; a fresh table begins at it.
    pub level: u32,
    /// Whether grants to waiters stay unconfirmed until their node says that it can answer: where nodes can die and
    /// others go on.
    pub confirm: bool,
}

/// A command with the identity under which it is applied once.
#[derive(Clone, PartialEq, Debug)]
pub struct Submitted {
    pub id: CommandId,
    pub command: Command,
}

/// A change to one lock, one session, or what is known of the nodes. Lease, wait and idle times in milliseconds.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    OpenSession {
        session: SessionId,
        idle_timeout_ms: u64,
        /// Asking again under the same key gives the same session.
        idempotency_key: Option<IdempotencyKey>,
        /// Whose session it is.
        caller: Caller,
    },
    CloseSession {
        session: SessionId,
    },
    Acquire(Box<Acquire>),
    Release {
        name: Name,
        session: Option<SessionId>,
        proof: Proof,
    },
    Renew {
        name: Name,
        session: Option<SessionId>,
        proof: Proof,
        lease_ms: u64,
    },
    /// Takes back an acquire whose answer can no longer be delivered, by the key that it brought: removes the waiter
    /// or releases the hold. One with an idempotency key is kept a while for the retry.
    Cancel {
        name: Name,
        key: HoldKey,
    },
    ForceRelease {
        name: Name,
        key: HoldKey,
    },
    /// The node of a granted waiter has the grant and is about to answer: its death no longer undoes it.
    ConfirmDelivery {
        name: Name,
        key: HoldKey,
    },
    /// Removes the waiter of an owner label.
    CancelWait {
        name: Name,
        label: Arc<str>,
    },
    /// A node presented itself to the leader.
    NodeUp {
        node: NodeId,
        incarnation: Incarnation,
        store: StoreId,
        level: u32,
    },
    /// The leader has not heard of this run of a node for too long.
    NodeDown {
        node: NodeId,
        incarnation: Incarnation,
    },
    /// The node is no member any more; its id may come back with another store.
    ForgetNode {
        node: NodeId,
    },
    /// Switches on what every node knows by now.
    RaiseLevel {
        level: u32,
    },
}

/// Asks for a hold.
#[derive(Clone, PartialEq, Debug)]
pub struct Acquire {
    pub name: Name,
    /// The key that the hold will have.
    pub key: HoldKey,
    pub dialect: Dialect,
    /// The session that asks; its end ends the hold.
    pub session: Option<SessionId>,
    /// The owner label that asks, in dialects that have them.
    pub label: Option<Arc<str>>,
    /// Asking again under the same label keeps the hold instead of competing with it.
    pub reentrant: bool,
    /// How many holds the lock has room for.
    pub size: u32,
    /// LDLM's rule: the size of an idle lock is remembered and binding.
    pub remembers_size: bool,
    pub lease_ms: Option<u64>,
    pub wait: Option<Wait>,
    /// Higher first.
    pub priority: i32,
    pub metadata: Metadata,
    /// Asking again under the same key gives the same hold, or takes the same place in the queue.
    pub idempotency_key: Option<IdempotencyKey>,
    pub caller: Caller,
}

/// How an acquire waits in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Tied to a request that is answered when the wait ends.
    Attached { timeout_ms: u64 },
    /// Tied to an owner label; claimed by asking again.
    Detached { timeout_ms: u64 },
}

impl Wait {
    pub fn timeout_ms(self) -> u64 {
        match self {
            Wait::Attached { timeout_ms } | Wait::Detached { timeout_ms } => timeout_ms,
        }
    }
}

/// What shows the right to release or renew a hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    Key(HoldKey),
    /// Any hold that this dialect took (lock by name has no keys).
    TakenBy(Dialect),
    /// The owner label, and the token where the dialect asks for it.
    Label {
        label: Arc<str>,
        token: Option<Token>,
    },
}

impl Acquire {
    /// A hold of size 1 for nobody in particular, without lease or wait: complete it with `..Acquire::new(…)`.
    pub fn new(name: Name, key: HoldKey, dialect: Dialect) -> Acquire {
        Acquire {
            name,
            key,
            dialect,
            session: None,
            label: None,
            reentrant: false,
            size: 1,
            remembers_size: false,
            lease_ms: None,
            wait: None,
            priority: 0,
            metadata: Metadata::default(),
            idempotency_key: None,
            caller: Caller::NOBODY,
        }
    }
}

impl Command {
    /// The session whose idle time this command starts anew.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Command::Acquire(acquire) => acquire.session,
            Command::Release { session, .. } | Command::Renew { session, .. } => *session,
            Command::OpenSession { .. }
            | Command::CloseSession { .. }
            | Command::Cancel { .. }
            | Command::ForceRelease { .. }
            | Command::ConfirmDelivery { .. }
            | Command::CancelWait { .. }
            | Command::NodeUp { .. }
            | Command::NodeDown { .. }
            | Command::ForgetNode { .. }
            | Command::RaiseLevel { .. } => None,
        }
    }

    /// Who asks for what will take room.
    pub fn caller(&self) -> Caller {
        match self {
            Command::Acquire(acquire) => acquire.caller,
            Command::OpenSession { caller, .. } => *caller,
            _ => Caller::NOBODY,
        }
    }

    /// The idempotency key that it was asked under.
    pub fn idempotency_key(&self) -> Option<IdempotencyKey> {
        match self {
            Command::Acquire(acquire) => acquire.idempotency_key,
            Command::OpenSession { idempotency_key, .. } => *idempotency_key,
            _ => None,
        }
    }

    pub(super) fn forget_caller(&mut self) {
        match self {
            Command::Acquire(acquire) => acquire.caller = Caller::NOBODY,
            Command::OpenSession { caller, .. } => *caller = Caller::NOBODY,
            _ => {}
        }
    }

    /// The lock that this command is about.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Command::Acquire(acquire) => Some(&acquire.name),
            Command::Release { name, .. }
            | Command::Renew { name, .. }
            | Command::Cancel { name, .. }
            | Command::ForceRelease { name, .. }
            | Command::ConfirmDelivery { name, .. }
            | Command::CancelWait { name, .. } => Some(name),
            Command::OpenSession { .. }
            | Command::CloseSession { .. }
            | Command::NodeUp { .. }
            | Command::NodeDown { .. }
            | Command::ForgetNode { .. }
            | Command::RaiseLevel { .. } => None,
        }
    }
}
