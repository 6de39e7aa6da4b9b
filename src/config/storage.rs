//! `[storage]`: the log, its snapshots and its batches.

use serde::Deserialize;

use super::value::{bytes, positive};

/// Durability and group commit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// false only for tests: a power loss then loses answered grants.
    pub fsync: bool,
    #[serde(deserialize_with = "bytes")]
    pub min_free_bytes: u64,
    #[serde(deserialize_with = "bytes")]
    pub snapshot_log_bytes: u64,
    #[serde(deserialize_with = "positive")]
    pub batch_commands_max: usize,
    #[serde(deserialize_with = "bytes")]
    pub batch_bytes_max: u64,
    #[serde(deserialize_with = "positive")]
    pub queue_commands_max: usize,
    /// A first start believes the wall clock, whatever it reads.
    pub trust_clock: bool,
    /// A data directory that was emptied is begun on all the same.
    pub accept_empty: bool,
    /// A log that has lost its end counts as it is.
    pub accept_lost_end: bool,
}
