//! How a node takes part in a cluster.

use crate::raft::{PeerFiles, StableStore, Transport};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What this node is called among others, and how it talks to them.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    pub node_id: u64,
    /// Where peers reach this node; `None` runs alone.
    pub listen: Option<SocketAddr>,
    /// The URL under which peers find this node.
    pub advertise: String,
    /// Those who form the cluster, this node among them; empty where the node begins alone or is added later.
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
    /// How long the end of a command is waited for before it is called unknown.
    pub outcome_wait: Duration,
    /// A node that is not heard for this long is declared down.
    pub node_down_after: Duration,
    /// How often, by cluster time, nodes compare their tables; the same on all of them.
    pub compare_every: Duration,
}

impl Default for ClusterOptions {
    /// A node alone.
    fn default() -> Self {
        Self {
            node_id: 1,
            listen: None,
            advertise: String::new(),
            peers: BTreeMap::new(),
            tls: None,
            transport: None,
            store: None,
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(250),
            election_max: Duration::from_millis(400),
            no_quorum_after: Duration::from_secs(2),
            outcome_wait: Duration::from_secs(5),
            node_down_after: Duration::from_secs(2),
            compare_every: Duration::from_secs(10),
        }
    }
}
