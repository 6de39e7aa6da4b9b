//! How an engine is started, alone or in a cluster.

use super::cluster_options::ClusterOptions;
use super::command_queue::BatchBounds;
use super::events::EventOptions;
use crate::base::config_value::{bytes, positive};
use crate::base::{Drain, TooFast};
use crate::domain::{Acquire, Limits, Quotas};
use crate::raft::{StableStore, Transport};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Decides whether one more request may ask for these names now.
pub type Pace = Box<dyn Fn(&Acquire) -> Result<(), TooFast> + Send + Sync>;

pub struct EngineOptions {
    /// `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    pub storage: StorageOptions,
    pub limits: Limits,
    /// Of credentials and prefixes; `None`: none.
    pub quotas: Option<Arc<Quotas>>,
    pub session_idle_timeout: Duration,
    pub events: EventOptions,
    pub cluster: ClusterOptions,
    pub drain: Drain,
    /// Asked before each acquire.
    pub pace: Option<Pace>,
    /// Used instead of `cluster.peer_listen`.
    pub transport: Option<Arc<dyn Transport>>,
    /// Used instead of a data directory.
    pub store: Option<Arc<dyn StableStore>>,
}

/// `[storage]`: the log, its snapshots and its batches.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageOptions {
    /// False only for tests: a power loss then loses answered grants.
    pub fsync: bool,
    /// Below this, new holds and sessions are refused.
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
    /// A new table begins at the wall clock's time, even if that is implausible.
    pub trust_clock: bool,
    /// A node may start on a data directory that once held something and is empty now.
    pub accept_empty: bool,
    /// A log that has lost its end is used as it is.
    pub accept_lost_end: bool,
}

impl StorageOptions {
    pub(super) fn batch(&self) -> BatchBounds {
        let bytes_max = usize::try_from(self.batch_bytes_max).unwrap_or(usize::MAX);
        BatchBounds { commands_max: self.batch_commands_max, bytes_max }
    }
}
