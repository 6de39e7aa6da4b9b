//! Feature levels: what apply may do is decided by the table's level, which rises only when every recorded node
//! supports the new one.
//!
//! 1. A single node.
//! 2. Clusters: nodes come and go, deliveries are confirmed, idempotency keys are remembered.
//! 3. Event ids of a new service start where its tokens start.
//! 4. Event ids contain a random table id, which tells them from those of any other service.
//! 5. Every leadership, not only the first, raises tokens and event ids to the clock.
//! 6. Callers are recorded: a session belongs to the credential that opened it, the table has a limit in bytes, and each
//!    caller has a share.

/// The highest level that this program supports.
pub const FEATURE_LEVEL: u32 = 6;

pub const CLUSTERS: u32 = 2;
pub const EVENT_ORIGINS: u32 = 3;
pub const TABLE_IDS: u32 = 4;
pub const RAISED_TOKENS: u32 = 5;
pub const CALLERS: u32 = 6;
