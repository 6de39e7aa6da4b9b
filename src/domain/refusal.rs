//! Why the table refuses a command. A refusal is an answer, not an error.

use super::command::Metadata;
use super::ids::Token;
use super::time::Timestamp;
use crate::base::byte_enum;

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
}

byte_enum! {
    /// A resource that callers share, with a limit on the whole and on each caller's share.
    pub enum Pool {
        /// Holds and waiters.
        Holds = 0,
        Sessions = 1,
        IdempotencyKeys = 2,
        Bytes = 3,
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
    SizeMismatch {
        size: u32,
    },
    ZeroSize,
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
    /// A broken invariant; nothing was changed.
    Broken(&'static str),
}

/// What a refused caller may know of the holders and waiters in its way.
#[derive(Clone, PartialEq, Debug)]
pub struct HeldBy {
    pub since: Timestamp,
    /// The earliest moment at which a hold ends unless its owner renews it; `None` if none ends by itself.
    pub deadline: Option<Timestamp>,
    /// The metadata of the oldest hold.
    pub metadata: Metadata,
    pub token: Token,
    pub waiters: u32,
}
