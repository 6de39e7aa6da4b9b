//! The options of a node, which runs alone or with peers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::BoxFuture;

use crate::base::wall_clock::ImplausibleClock;
use crate::raft::peers::transport::Transport;
use crate::raft::stable_store::StableStore;

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

impl Store {
    pub(in crate::raft) fn data_dir(&self) -> Option<PathBuf> {
        match self {
            Store::Disk { dir, .. } => Some(dir.clone()),
            Store::Memory | Store::Stable(_) => None,
        }
    }
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
    /// `None`: this node runs alone and talks to nobody.
    pub peers: Option<PeerOptions>,
    /// Whether a node may start on an empty store.
    pub may_begin: Result<(), ImplausibleClock>,
    pub accept: Accept,
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
    /// nobody else in it this node forms a cluster of one at once; where one of the others has a cluster already, this
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

/// What the user of this room does for other nodes.
pub trait PeerService: Send + Sync + 'static {
    /// Answers a request that another node sent with [`RaftNode::call`](crate::raft::RaftNode::call).
    fn call(&self, from: u64, request: Bytes) -> BoxFuture<'_, Bytes>;

    /// The store that the replicated state has for a node. A node that presents another store is refused: its disk was lost
    /// or exchanged, and what it acknowledged is gone.
    fn known_store(&self, node: u64) -> Option<[u8; 16]>;
}
