//! The lock table: pure and deterministic.
//!
//! What lives here: locks, holds, waiters, sessions, fencing tokens and the one function that changes them,
//! [`Table::apply`]. The same entries always give the same state, byte for byte.
//!
//! What may not: async, I/O, clocks, randomness, configuration, unordered maps, other rooms.

mod caller;
mod claims;
pub mod codec;
pub mod command;
mod cow;
mod expiry;
mod from_backup;
mod grant;
mod idempotency;
pub mod ids;
mod index;
pub mod limits;
pub mod lock;
mod metadata;
mod nodes;
pub mod outcome;
mod preflight;
mod quota;
mod remembered;
mod session;
mod settling;
mod snapshot;
mod table;
pub mod time;
mod usage;
mod verbs;
pub mod view;

pub use caller::Caller;
pub use claims::ORPHAN_MS;
pub use command::{Acquire, Body, Command, Entry, LeaderStart, Proof, Submitted, Wait};
pub use idempotency::IDEMPOTENCY_KEY_KEPT_MS;
pub use ids::{
    BodyDigest, CommandId, Dialect, HoldKey, IdempotencyKey, Incarnation, Name, NodeId, RequestId, SessionId, StoreId,
    Token, WaiterId,
};
pub use limits::{Field, Limits, Pool, ShareOf};
pub use metadata::Metadata;
pub use nodes::{FEATURE_LEVEL, NodeRecord};
pub use outcome::{Applied, EndReason, Event, Grant, HeldBy, Outcome, Refusal, WaitEnd};
pub use snapshot::{FrozenTable, SnapshotError};
pub use table::{StaleEpoch, Table};
pub use time::Timestamp;
pub use usage::{Usage, Usages};
