//! Commands: what clients and nodes ask of the table.

use super::freezes::{Covers, FreezeHolds};
use super::ids::{Caller, Dialect, HoldKey, IdempotencyKey, Incarnation, Name, NodeId, SessionId, StoreId, Token};
use super::limits::Limits;
use super::metadata::Metadata;
use super::quotas::Quotas;
use super::terms::Terms;
use arcstr::ArcStr;
use std::sync::Arc;

/// A change to one lock, one session or one node's record. Lease, wait and idle times in milliseconds.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    OpenSession {
        session: SessionId,
        idle_timeout_ms: u64,
        /// A retry under the same key is given the same session.
        idempotency_key: Option<IdempotencyKey>,
        /// The owner of the session.
        caller: Caller,
    },
    CloseSession {
        session: SessionId,
        /// Where it is not its client that closes it; since the level of quotas.
        force: Option<SessionForce>,
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
    /// Undoes an acquire whose answer can no longer be delivered, by the key of the acquire: removes the waiter or
    /// releases the hold. With an idempotency key it is kept for a while, for the retry.
    Cancel {
        name: Name,
        key: HoldKey,
    },
    /// Ends the hold of another client.
    ForceRelease {
        name: Name,
        key: HoldKey,
        /// For the history of the name; since its level.
        force: Option<Box<Force>>,
    },
    /// The waiter's node has the grant and is about to answer: from here on the grant survives the node.
    ConfirmDelivery {
        name: Name,
        key: HoldKey,
    },
    /// Removes the waiter of an owner label.
    CancelWait {
        name: Name,
        label: ArcStr,
    },
    /// A node registered with the leader.
    NodeUp {
        node: NodeId,
        incarnation: Incarnation,
        store: StoreId,
        level: u32,
    },
    /// The leader has not heard from this incarnation of a node for too long.
    NodeDown {
        node: NodeId,
        incarnation: Incarnation,
    },
    /// The node is no longer a member; its id may come back with another store.
    ForgetNode {
        node: NodeId,
    },
    /// Raises the feature level, once every node supports it.
    RaiseLevel {
        level: u32,
        /// The limits from here on, among them those that the new level has; since the level of modes.
        limits: Option<Box<Limits>>,
        /// The quotas from here on; since their level.
        quotas: Option<Arc<Quotas>>,
    },
    /// Makes an exclusive hold a shared one, with a new token.
    Downgrade {
        name: Name,
        session: Option<SessionId>,
        key: HoldKey,
    },
    Upgrade(Box<Upgrade>),
    /// Gives a hold to another session, with a new key and a new token.
    Transfer {
        name: Name,
        session: Option<SessionId>,
        key: HoldKey,
        to: SessionId,
        new_key: HoldKey,
    },
    /// Changes how many holds a counted lock may have at once.
    Resize {
        name: Name,
        size: u32,
    },
    /// Changes the value of an election's hold.
    SetValue {
        name: Name,
        session: Option<SessionId>,
        key: HoldKey,
        value: ArcStr,
    },
    /// Raises the high-water mark of a resource to this token.
    RaiseMark {
        resource: Name,
        token: Token,
        caller: Caller,
    },
    /// Nothing new is granted under the target for so long. Takes the place of an earlier freeze of the same target.
    Freeze(Box<FreezeOrder>),
    /// Ends the freeze of this target.
    Thaw {
        target: Name,
    },
}

/// What an operator wants frozen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FreezeOrder {
    pub target: Name,
    pub covers: Covers,
    pub holds: FreezeHolds,
    pub for_ms: u64,
    pub reason: ArcStr,
    /// Who ordered it, in words for people.
    pub by: ArcStr,
}

/// Who forces the end of a hold, and why, as the history of a name tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Force {
    /// The name of the credential.
    pub by: ArcStr,
    pub reason: ArcStr,
}

/// Who ends the session of another client, and why, as the histories of its locks tell it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionForce(pub Box<Force>);

/// A request to make a shared hold an exclusive one, with a new token. It waits before all others.
#[derive(Clone, PartialEq, Debug)]
pub struct Upgrade {
    pub name: Name,
    pub session: Option<SessionId>,
    pub key: HoldKey,
    /// By which the wait is cancelled; the hold stays.
    pub attempt: HoldKey,
    pub wait: Option<Wait>,
    pub caller: Caller,
}

/// A request for a hold.
#[derive(Clone, PartialEq, Debug)]
pub struct Acquire {
    pub name: Name,
    /// The key that the hold will have.
    pub key: HoldKey,
    pub dialect: Dialect,
    /// The session that owns the hold; the hold ends with it.
    pub session: Option<SessionId>,
    /// The owner label, in dialects that have labels.
    pub label: Option<ArcStr>,
    /// An acquire of a label that already has the lock keeps its hold instead of competing with it.
    pub reentrant: bool,
    /// How many holds the lock may have at once, [`SHARED`](super::SHARED) for a shared hold.
    pub size: u32,
    /// LDLM's rule: the size of an idle lock is remembered, and later acquires must agree.
    pub remembers_size: bool,
    pub lease_ms: Option<u64>,
    pub wait: Option<Wait>,
    /// Higher first.
    pub priority: i32,
    pub metadata: Metadata,
    /// A retry under the same key is given the same hold, or takes over the same place in the queue.
    pub idempotency_key: Option<IdempotencyKey>,
    pub caller: Caller,
    /// What it asks for beyond one place in one lock.
    pub terms: Option<Arc<Terms>>,
}

/// How an acquire waits in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// A request waits, and is answered when the wait ends.
    Attached { timeout_ms: u64 },
    /// The owner label waits, and finds out by asking again.
    Detached { timeout_ms: u64 },
    /// As attached, and refused if the wait would be part of a deadlock.
    Guarded { timeout_ms: u64 },
}

impl Wait {
    pub fn timeout_ms(self) -> u64 {
        match self {
            Wait::Attached { timeout_ms } | Wait::Detached { timeout_ms } | Wait::Guarded { timeout_ms } => timeout_ms,
        }
    }
}

/// What proves the right to release or renew a hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    Key(HoldKey),
    /// Any hold that was taken through this dialect (lockd has no keys).
    TakenBy(Dialect),
    /// The owner label, and the token where the dialect requires it.
    Label {
        label: ArcStr,
        token: Option<Token>,
    },
    /// The key of a hold of several names, and all of these names in any order.
    OfNames {
        key: HoldKey,
        names: Box<[Name]>,
    },
}

impl Acquire {
    /// An acquire of size 1, without owner, lease or wait. Use it as the base of a struct update.
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
            terms: None,
        }
    }

    /// The names that it asks for, each with its size.
    pub fn places(&self) -> impl Iterator<Item = (&Name, u32)> {
        Terms::places(self.terms.as_deref(), &self.name, self.size)
    }

    pub fn weight(&self) -> u32 {
        self.terms.as_ref().map_or(1, |terms| terms.weight)
    }
}

impl Force {
    /// The most bytes of each of its texts.
    pub const TEXT_BYTES_MAX: usize = 256;

    /// With texts that are cut at the limit.
    pub fn new(by: &str, reason: &str) -> Force {
        Force { by: cut(by), reason: cut(reason) }
    }
}

fn cut(text: &str) -> ArcStr {
    let ends = (0..=text.len().min(Force::TEXT_BYTES_MAX)).rev();
    ends.into_iter().find_map(|end| text.get(..end)).unwrap_or_default().into()
}

impl Command {
    /// The session whose idle time this command restarts.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Command::Acquire(acquire) => acquire.session,
            Command::Upgrade(upgrade) => upgrade.session,
            Command::Release { session, .. }
            | Command::Renew { session, .. }
            | Command::Downgrade { session, .. }
            | Command::Transfer { session, .. }
            | Command::SetValue { session, .. } => *session,
            Command::OpenSession { .. }
            | Command::CloseSession { .. }
            | Command::Cancel { .. }
            | Command::ForceRelease { .. }
            | Command::ConfirmDelivery { .. }
            | Command::CancelWait { .. }
            | Command::NodeUp { .. }
            | Command::NodeDown { .. }
            | Command::ForgetNode { .. }
            | Command::RaiseLevel { .. }
            | Command::Resize { .. }
            | Command::RaiseMark { .. }
            | Command::Freeze(_)
            | Command::Thaw { .. } => None,
        }
    }

    /// The caller whose quota this command uses.
    pub fn caller(&self) -> Caller {
        match self {
            Command::Acquire(acquire) => acquire.caller,
            Command::Upgrade(upgrade) => upgrade.caller,
            Command::OpenSession { caller, .. } | Command::RaiseMark { caller, .. } => *caller,
            _ => Caller::NOBODY,
        }
    }

    /// The idempotency key of this command.
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

    /// The lock that this command concerns.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Command::Acquire(acquire) => Some(&acquire.name),
            Command::Release { name, .. }
            | Command::Renew { name, .. }
            | Command::Cancel { name, .. }
            | Command::ForceRelease { name, .. }
            | Command::ConfirmDelivery { name, .. }
            | Command::CancelWait { name, .. }
            | Command::Downgrade { name, .. }
            | Command::Transfer { name, .. }
            | Command::Resize { name, .. }
            | Command::SetValue { name, .. } => Some(name),
            Command::Upgrade(upgrade) => Some(&upgrade.name),
            Command::OpenSession { .. }
            | Command::CloseSession { .. }
            | Command::NodeUp { .. }
            | Command::NodeDown { .. }
            | Command::ForgetNode { .. }
            | Command::RaiseLevel { .. }
            | Command::RaiseMark { .. }
            | Command::Freeze(_)
            | Command::Thaw { .. } => None,
        }
    }

    /// The locks that it concerns besides [`Command::name`].
    pub fn other_names(&self) -> impl Iterator<Item = &Name> {
        let of_acquire = match self {
            Command::Acquire(acquire) => acquire.terms.as_ref().map_or(&[][..], |terms| &terms.names),
            _ => &[],
        };
        of_acquire.iter().skip(1).map(|(name, _)| name)
    }
}
