//! How an engine is started, alone or in a cluster.

use super::command_queue::BatchBounds;
use super::events::EventOptions;
use crate::domain::Limits;
use crate::raft::{Accept, PeerFiles, StableStore, Transport};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub struct EngineOptions {
    /// `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// False only to show that a power loss is noticed.
    pub fsync: bool,
    pub snapshot_log_bytes: u64,
    /// Below this, new holds and sessions are refused.
    pub min_free_bytes: u64,
    pub limits: Limits,
    pub session_idle_timeout: Duration,
    pub batch: BatchBounds,
    pub queue_commands_max: usize,
    /// A new table begins at the wall clock's time, even if that is implausible.
    pub trust_clock: bool,
    pub accept: Accept,
    pub events: EventOptions,
    pub cluster: ClusterOptions,
}

/// What this node is called among others, and how it talks to them.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    pub node_id: u64,
    /// Where other nodes reach this one; `None` runs alone.
    pub listen: Option<SocketAddr>,
    /// The URL under which other nodes find this one.
    pub advertise: String,
    /// The nodes that bootstrap the cluster, this one among them; empty if this node begins alone or is added later.
    pub peers: BTreeMap<u64, String>,
    pub tls: Option<PeerFiles>,
    /// Used instead of `listen` and `tls`.
    pub transport: Option<Arc<dyn Transport>>,
    /// Used instead of a data directory.
    pub store: Option<Arc<dyn StableStore>>,
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
    /// Requests are refused with "no quorum" after this long without one.
    pub no_quorum_after: Duration,
    /// A command that was handed on this long ago gets "outcome unknown".
    pub outcome_wait: Duration,
    /// A node that is not heard for this long is declared down.
    pub node_down_after: Duration,
    /// How often, in cluster time, nodes compare their tables; the same on all of them.
    pub compare_every: Duration,
}
