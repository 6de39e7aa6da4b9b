//! Nodes compare their tables. At equal indexes of the log the tables are equal, unless a disk has lost, kept or made up
//! something: a node that differs from the majority must not answer anybody.
//!
//! ```text
//! apply ─► freeze ─► digest ─► follower ──Compare──► leader ─► verdict ─► a node that differs is quarantined
//! ```
//! The log alone tells at which entries digests are taken, so all nodes take them at the same indexes: at each
//! `LeaderStart`, and at the first entry in each interval of cluster time. Of a large table each digest covers a part in
//! turn, and always the counters, in which nearly every difference shows.

mod comparison;
mod digest_log;

pub use comparison::{DigestComparison, DigestVotes};
pub use digest_log::{DigestLog, take_digests};
