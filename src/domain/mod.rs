//! The lock table: pure and deterministic.
//!
//! What lives here: locks, holds, waiters, sessions, fencing tokens, and the one function that changes them,
//! [`Table::apply`]. Equal entries give equal states, byte for byte.
//!
//! What may not live here: async code, I/O, clocks, randomness, configuration, unordered maps.
//!
//! From the bottom up: values (`ids`, `time`, `metadata`, `terms`), what is asked and answered (`command`, `outcome`,
//! `refusal`, `limits`, `checks`, `levels`) and its bytes (`codec`, `entry`), the parts of the state (`locks`, `sessions`,
//! `idempotency`, `remembered_sizes`, `marks`, `history`, `freezes`, `nodes`, `usage`, `quotas`), the `table` that composes them, and
//! `snapshot` on top.

mod checks;
mod codec;
pub mod command;
mod cow_map;
mod entry;
mod freezes;
mod history;
mod idempotency;
pub mod ids;
mod levels;
mod limits;
mod locks;
mod marks;
mod metadata;
mod nodes;
mod outcome;
mod prefixes;
mod quotas;
mod ranking;
mod refusal;
mod remembered_sizes;
mod sessions;
mod snapshot;
mod table;
mod terms;
pub mod time;
mod usage;
pub mod view;

pub use command::{Acquire, Command, Force, FreezeOrder, Proof, SessionForce, Upgrade, Wait};
pub use entry::{Body, Entry, LeaderStart, Submitted};
pub use freezes::{Covers, Freeze, FreezeHolds, FreezesView, FrozenBy};
pub use history::PastHold;
pub use idempotency::{IDEMPOTENCY_KEY_KEPT_MS, ORPHAN_MS};
pub use ids::{
    BodyDigest, Caller, CommandId, Dialect, HoldKey, IdempotencyId, IdempotencyKey, Incarnation, Name, NodeId,
    SessionId, StoreId, Token, WaiterId,
};
pub use limits::{FEATURE_LEVEL, Feature, Limits};
pub use metadata::Metadata;
pub use nodes::NodeRecord;
pub use outcome::{
    Applied, EndReason, Event, Grant, Outcome, StaleEpoch, ThawReason, Undone, WaitEnd, WaitNote, WaitStep,
};
pub use quotas::{Counted, Quota, QuotaFull, QuotaLimits, QuotaOf, Quotas};
pub use ranking::{LockOrder, Rank};
pub use refusal::{Blocked, Field, HeldBy, Party, Pool, Refusal, ShareOf};
pub use snapshot::{FrozenTable, SnapshotError};
pub use table::{LeaderView, Table};
pub use terms::{SHARED, Terms};
pub use time::Timestamp;
pub use usage::{Usage, Usages};
