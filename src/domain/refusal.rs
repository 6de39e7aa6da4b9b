//! Why the table refuses a command. A refusal is an answer, not an error.

use super::freezes::FrozenBy;
use super::ids::{Name, NodeId, SessionId, Token};
use super::metadata::Metadata;
use super::quotas::QuotaFull;
use super::time::Timestamp;
use crate::base::byte_enum;
use arcstr::ArcStr;

/// What a limit applies to; each dialect has its own name for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    Name,
    Size,
    Lease,
    Wait,
    MetadataEntries,
    MetadataKey,
    MetadataValue,
    Names,
    LockDelay,
    /// Of the leader of an election.
    Value,
    FreezeTime,
}

byte_enum! {
    /// A resource that callers share, with a limit on the whole and on each caller's share.
    pub enum Pool {
        /// Holds and waiters.
        Holds = 0,
        Sessions = 1,
        IdempotencyKeys = 2,
        Bytes = 3,
        /// High-water marks of resources.
        Marks = 4,
    }
}

/// Whose share of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShareOf {
    Credential,
    Address,
}

/// The keys of `config.toml` that set the limits.
impl Field {
    pub const fn config_key(self) -> &'static str {
        match self {
            Field::Name => "locks.name_bytes_max",
            Field::Size => "locks.size_max",
            Field::Lease => "locks.lease_max",
            Field::Wait => "locks.wait_max",
            Field::MetadataEntries => "locks.metadata_entries_max",
            Field::MetadataKey => "locks.metadata_key_bytes_max",
            Field::MetadataValue => "locks.metadata_value_bytes_max",
            Field::Names => "locks.names_max",
            Field::LockDelay => "locks.lock_delay_max",
            Field::Value => "elections.value_bytes_max",
            Field::FreezeTime => "locks.freeze_max",
        }
    }
}

impl Pool {
    pub const fn config_key(self) -> &'static str {
        match self {
            Pool::Holds => "locks.holds_max",
            Pool::Sessions => "sessions.count_max",
            Pool::IdempotencyKeys => "locks.requests_max",
            Pool::Bytes => "locks.table_bytes_max",
            Pool::Marks => "fences.marks_max",
        }
    }
}

impl Refusal {
    /// `None` if no limit is its reason.
    pub const fn config_key(&self) -> Option<&'static str> {
        Some(match self {
            Refusal::LimitExceeded { field, .. } => field.config_key(),
            Refusal::QueueFull { .. } => "locks.waiters_per_lock_max",
            Refusal::HoldsFull { .. } => Pool::Holds.config_key(),
            Refusal::SessionHoldsFull { .. } => "sessions.holds_max",
            Refusal::SessionsFull { .. } => Pool::Sessions.config_key(),
            Refusal::IdempotencyKeysFull { .. } => Pool::IdempotencyKeys.config_key(),
            Refusal::TableFull { .. } => Pool::Bytes.config_key(),
            Refusal::MarksFull { .. } => "fences.marks_max",
            Refusal::FreezesFull { .. } => "locks.freezes_max",
            Refusal::QuotaFull(_) => "quotas.limits",
            Refusal::ShareFull { whose: ShareOf::Credential, .. } => "quotas.credential_percent",
            Refusal::ShareFull { whose: ShareOf::Address, .. } => "quotas.address_percent",
            _ => return None,
        })
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Refusal {
    SessionUnknown,
    SessionExists,
    /// The session was opened with another credential.
    SessionOfAnother,
    /// Every place is taken, or others of the same or a higher priority wait.
    Held(Box<HeldBy>),
    /// The wait ended without a grant.
    WaitTimedOut,
    /// The waiter was removed before its turn (its session ended, or its request was cancelled).
    WaitCancelled,
    /// An operator took the waiter out of the queue.
    WaitDropped,
    SizeMismatch {
        size: u32,
    },
    ZeroSize,
    /// A counted lock has at least two places: with one it would be exclusive.
    SizeOfOne,
    /// There is no lock of this name.
    NoSuchLock,
    /// The lock exists, but this proof matches none of its holds.
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
    IdempotencyKeysFull {
        limit: u64,
    },
    /// The table has reached its limit in bytes.
    TableFull {
        limit: u64,
    },
    /// The caller has used up its share of a pool.
    /// A quota of the caller's credential, or of a prefix of the name, has no room.
    QuotaFull(Box<QuotaFull>),
    ShareFull {
        pool: Pool,
        whose: ShareOf,
        limit: u64,
    },
    /// Another request was made under the same idempotency key.
    RequestReused,
    /// The hold or session that this request was given has ended; it is not given another.
    RequestEnded,
    /// All 2^53 tokens were issued.
    TokensExhausted,
    /// The command comes from an incarnation that is not recorded, or that was declared dead.
    UnknownIncarnation,
    /// No such incarnation of that node is recorded as alive.
    NodeUnknown,
    /// The node has another data directory than the one recorded.
    StoreMismatch,
    /// Some node does not support this feature level, or the table already has it.
    LevelRefused {
        level: u32,
    },
    /// Some node does not support this yet.
    NotYet {
        /// The feature level that it needs.
        level: u32,
        /// A node that lacks the level, if one is recorded.
        node: Option<NodeId>,
    },
    /// A weight of 0, or above the size.
    WeightAboveSize {
        size: u32,
    },
    /// A waiter's weight is above the new size.
    SizeBelowWeight {
        weight: u32,
    },
    /// The request has a name twice.
    NameTwice,
    /// The key belongs to a hold of other names, or of more.
    OtherNames {
        names: Box<[Name]>,
    },
    /// The wait would be part of a deadlock: each waits for what the next one holds or is ahead in, and the last for the first.
    WouldDeadlock {
        cycle: Box<[Blocked]>,
    },
    /// Another holder waits to be the only one: neither could succeed.
    UpgradePending,
    /// The lock is counted, or the hold has several names or is that of an election.
    NotConvertible,
    /// The session that was to get the hold is not known or has ended.
    TargetUnknown,
    /// Only counted locks have a size to change.
    NotCounted,
    /// The hold was not taken by an election.
    NotElected,
    /// An election without a lease.
    NoElectionLease,
    /// A lower token than the mark of the resource.
    TokenBelowMark {
        mark: Token,
    },
    /// No such token was ever issued.
    TokenNotIssued,
    MarksFull {
        limit: u64,
    },
    /// A name is frozen: nothing new is granted under it.
    Frozen(Box<FrozenBy>),
    FreezesFull {
        limit: u64,
    },
    NoSuchFreeze,
    /// A broken invariant; nothing was changed.
    Broken(&'static str),
}

/// Who is in the way of whom: one edge of a cycle of waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blocked {
    pub name: Name,
    /// Holds the lock, or is ahead in its queue.
    pub by: Party,
    pub waiter: Party,
}

impl Party {
    /// The handle of a session, or the owner label.
    pub fn shown(&self) -> String {
        match self {
            Party::Session(session) => session.handle(),
            Party::Label(label) => label.to_string(),
        }
    }
}

/// A holder or waiter that can be told from others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Party {
    Session(SessionId),
    Label(ArcStr),
}

/// What a refused caller may know of the holders and waiters in its way.
#[derive(Clone, PartialEq, Debug)]
pub struct HeldBy {
    pub since: Timestamp,
    /// The earliest moment at which a hold ends unless its owner renews it; `None` if none ends by itself.
    pub deadline: Option<Timestamp>,
    /// The metadata of the oldest hold.
    pub metadata: Metadata,
    /// The token of the oldest hold; of the last one while its end delays the next; 0 if others that wait are in the way.
    pub token: Token,
    pub waiters: u32,
}
