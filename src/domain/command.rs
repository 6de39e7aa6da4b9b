//! What is asked of the table: commands, and the log entries that carry them.

use super::ids::{CommandId, Dialect, HoldKey, Incarnation, Name, SessionId, Token};
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

/// Opens a leadership: sets its limits and forgets the requests of dead processes.
#[derive(Clone, PartialEq, Debug)]
pub struct LeaderStart {
    /// Where the fencing tokens of a fresh table begin; ignored by a table that has given any.
    pub first_token: u64,
    pub limits: Limits,
    /// The process runs that may have requests waiting; attached waiters of all others are dropped.
    pub live: Vec<Incarnation>,
}

/// A command with the identity under which it is applied once.
#[derive(Clone, PartialEq, Debug)]
pub struct Submitted {
    pub id: CommandId,
    pub command: Command,
}

/// A change to one lock or one session. Lease, wait and idle times in milliseconds.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    OpenSession {
        session: SessionId,
        idle_timeout_ms: u64,
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
        key: HoldKey,
        lease_ms: u64,
    },
    /// Takes back an acquire whose answer can no longer be delivered: removes the waiter or releases the hold.
    Cancel {
        name: Name,
        key: HoldKey,
    },
    ForceRelease {
        name: Name,
        key: HoldKey,
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

/// What shows the right to release a hold.
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

impl Command {
    /// The session whose idle time this command starts anew.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Command::Acquire(acquire) => acquire.session,
            Command::Release { session, .. } | Command::Renew { session, .. } => *session,
            Command::OpenSession { .. }
            | Command::CloseSession { .. }
            | Command::Cancel { .. }
            | Command::ForceRelease { .. } => None,
        }
    }

    /// The lock that this command is about.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Command::Acquire(acquire) => Some(&acquire.name),
            Command::Release { name, .. }
            | Command::Renew { name, .. }
            | Command::Cancel { name, .. }
            | Command::ForceRelease { name, .. } => Some(name),
            Command::OpenSession { .. } | Command::CloseSession { .. } => None,
        }
    }
}
