//! The options of a node, which runs alone or with peers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, ConfigError, SnapshotPolicy};

use crate::base::clock::ImplausibleClock;
use crate::raft::interface::{StableStore, Transport};

/// Bounds the number of tiny entries only.
const ENTRIES_PER_MESSAGE: u64 = 4096;

/// Where the log and the snapshots are.
#[derive(Debug, Clone)]
pub enum Store {
    /// Gone with the process.
    Memory,
    /// `fsync: false` answers before the disk has the data and exists to show that a power loss is then noticed.
    Disk { dir: PathBuf, fsync: bool },
    /// Handed in by the caller; it outlives the process.
    Stable(Arc<dyn StableStore>),
}

/// How a node is started.
#[derive(Debug, Clone)]
pub struct RaftOptions {
    pub node_id: u64,
    pub store: Store,
    /// A snapshot is taken when the log since the last one is larger than this and than that snapshot.
    pub snapshot_log_bytes: u64,
    /// How often a leader sends heartbeats.
    pub heartbeat: Duration,
    /// A follower that hears no leader stands for election after a random time between these two.
    pub election_min: Duration,
    pub election_max: Duration,
    /// `None`: this node runs alone.
    pub peers: Option<PeerOptions>,
    /// Whether a node may start on an empty store.
    pub may_begin: Result<(), ImplausibleClock>,
    pub accept: Accept,
}

impl RaftOptions {
    /// openraft's timers are off, see `elections.rs`; what is left of them is how long it protects a leader that was just heard
    /// from candidates: a little less than any of them waits.
    pub(in crate::raft) fn openraft_config(&self) -> Result<Config, ConfigError> {
        let lease = (self.election_min.as_millis() as u64 * 4 / 5).max(4);
        let config = Config {
            cluster_name: "latchd".to_owned(),
            enable_elect: false,
            enable_heartbeat: false,
            heartbeat_interval: lease / 2,
            election_timeout_min: lease - 1,
            election_timeout_max: lease,
            // Entries vary from bytes to a megabyte, so their number says nothing: `snapshot/policy.rs` decides by bytes when
            // a snapshot is taken and what is kept behind it, `log/range.rs` how much goes into one message.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            max_payload_entries: ENTRIES_PER_MESSAGE,
            ..Config::default()
        };
        config.validate()
    }
}

/// What an operator accepts as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accept {
    /// A node may start on a data directory that once held something and is empty now.
    pub empty: bool,
    /// A log that has lost its end is used as it is.
    pub lost_end: bool,
}

/// How a node reaches its peers.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// The address for other nodes: `https://host:port`. A member keeps its address: to change it, remove the node and
    /// add it again.
    pub advertise: String,
    /// The nodes that form a new cluster together, this one among them. Looked at only while the store is empty: with
    /// no other node in it this one forms a cluster of one at once; where one of the others has a cluster already, this
    /// node waits to be added to it.
    pub initial: BTreeMap<u64, String>,
    /// Listens already.
    pub transport: Arc<dyn Transport>,
}

impl PeerOptions {
    pub(in crate::raft) fn has_others(&self, node_id: u64) -> bool {
        self.initial.keys().any(|node| *node != node_id)
    }
}
