//! Starts a node: opens its stores, connects its parts, and starts their tasks.

use std::sync::{Arc, OnceLock};

use tokio::sync::{Mutex, watch};

use crate::mutants::planted;
use crate::raft::bootstrap::{bootstrap_or_rejoin, cluster};
use crate::raft::election::elections::Elections;
use crate::raft::election::lost_end::LostEnd;
use crate::raft::error::NodeStartError;
use crate::raft::interface::{Machine, PeerService};
use crate::raft::leadership;
use crate::raft::log::node_log::NodeLog;
use crate::raft::membership::changes;
use crate::raft::membership::node_state::NodeState;
use crate::raft::monitors::Monitors;
use crate::raft::node::{Consensus, InCluster, NodeParts, RaftNode};
use crate::raft::options::{PeerOptions, RaftOptions};
use crate::raft::peers::authorization::VouchedMembers;
use crate::raft::peers::connections::Peers;
use crate::raft::peers::hello::LocalNode;
use crate::raft::peers::incoming::PeerServer;
use crate::raft::peers::server;
use crate::raft::snapshot::policy;
use crate::raft::standalone;
use crate::raft::storage::{self, OpenStores};
use crate::raft::types::Raft;

impl RaftNode {
    /// Opens the store, restores the machine from the newest snapshot, and lets the log bring it up to date.
    ///
    /// On an empty store a node without peers bootstraps a cluster of one. For a node with peers this returns before the node
    /// belongs to a cluster; [`RaftNode::state`] tells when it does.
    pub async fn start(
        options: RaftOptions,
        machine: impl Machine,
        service: Arc<dyn PeerService>,
    ) -> Result<RaftNode, NodeStartError> {
        // A node without peers keeps no log for them.
        let kept_bytes = if options.peers.is_some() { options.snapshot_log_bytes } else { 0 };
        let monitors = Monitors::new(options.snapshot_log_bytes, kept_bytes);
        let opened = storage::open(&options, Box::new(machine), &monitors).await;
        let (stores, mut released) =
            opened.map_err(|e| if options.peers.is_some() { e.among_peers(options.node_id) } else { e })?;
        let composed = match (options.peers.clone(), options.may_begin) {
            (_, Err(implausible)) if stores.empty => {
                drop(stores);
                Err(implausible.into())
            }
            (Some(peers), _) => compose(options, peers, stores, monitors, service).await,
            (None, _) => compose_standalone(options, stores, monitors).await,
        };
        match composed {
            Ok(parts) => Ok(RaftNode { parts: Arc::new(parts), closed: Arc::new(Mutex::new(released)) }),
            Err(refused) => {
                // The caller may want the directory right away.
                released.recv().await;
                Err(refused)
            }
        }
    }
}

async fn compose_standalone(
    options: RaftOptions,
    stores: OpenStores,
    monitors: Monitors,
) -> Result<NodeParts, NodeStartError> {
    let (node, lead) = standalone::start(options.node_id, stores.log, stores.machine).await?;
    let mut parts = NodeParts {
        id: options.node_id,
        leadership: node.leadership.subscribe(),
        state: watch::Sender::new(NodeState::Member),
        monitors,
        store_id: stores.id,
        store_was_empty: stores.empty,
        data_dir: None,
        tasks: Vec::new(),
        consensus: Consensus::Standalone(node.clone()),
    };
    parts.spawn(lead);
    parts.spawn(standalone::take_snapshots(node, parts.monitors.snapshots.clone()));
    parts.watch_data_dir(stores.data_dir.upgrade());
    Ok(parts)
}

/// Connects the parts of a node with peers on the stores that were opened, and starts their tasks.
async fn compose(
    options: RaftOptions,
    with: PeerOptions,
    stores: OpenStores,
    monitors: Monitors,
    service: Arc<dyn PeerService>,
) -> Result<NodeParts, NodeStartError> {
    let OpenStores { log, machine, id: store_id, empty, data_dir, lost } = stores;
    let local = Arc::new(LocalNode {
        node_id: options.node_id,
        store_id,
        store_was_empty: empty,
        initial: with.initial.keys().copied().collect(),
        service,
        raft: OnceLock::new(),
    });
    let peers = Peers::new(local.clone(), with.transport.clone());
    let config = Arc::new(options.openraft_config().map_err(NodeStartError::engine)?);
    let (id, network) = (options.node_id, peers.clone());
    let raft = match log {
        NodeLog::Memory(log) => Raft::new(id, config, network, log, machine).await,
        NodeLog::Disk(log) => Raft::new(id, config, network, log, machine).await,
    };
    let raft = raft.map_err(NodeStartError::engine)?;
    // Cannot be set already: it was made above.
    let _ = local.raft.set(raft.clone());
    let lost = planted!("lost-end-forgotten", lost => None);
    if let Err(refused) = bootstrap_or_rejoin(&raft, options.node_id, &with, lost.is_some()).await {
        drop(raft.shutdown().await);
        return Err(refused);
    }
    let lost_end = Arc::new(LostEnd { node_id: options.node_id, newest: lost });
    let elections = Arc::new(Elections::new(&options, lost_end.clone(), monitors.log.clone()));
    let bootstraps = empty && with.has_others(options.node_id);
    let awaits = local.initial.iter().copied().filter(|node| *node != options.node_id).collect();
    let state = match bootstraps {
        true => NodeState::Bootstrapping { awaits },
        false => lost_end.state(&raft),
    };
    let advertise = with.advertise.clone();
    let cluster = InCluster { raft, advertise, peers, elections };
    let mut parts = NodeParts {
        id: options.node_id,
        leadership: leadership::watch_leadership(&cluster.raft, monitors.log.clone()),
        state: watch::Sender::new(state),
        monitors,
        store_id,
        store_was_empty: empty,
        data_dir: None,
        tasks: Vec::new(),
        consensus: Consensus::Openraft(cluster.clone()),
    };
    parts.watch_data_dir(data_dir.upgrade());
    parts.join_peers(&cluster, with, bootstraps);
    Ok(parts)
}

impl NodeParts {
    fn join_peers(&mut self, cluster: &InCluster, options: PeerOptions, bootstraps: bool) {
        let (raft, peers) = (&cluster.raft, &cluster.peers);
        let server = PeerServer {
            peers: peers.clone(),
            raft: raft.clone(),
            elections: cluster.elections.clone(),
            monitors: self.monitors.clone(),
            vouched: VouchedMembers::default(),
        };
        self.spawn(policy::take_snapshots(raft.clone(), self.monitors.snapshots.clone()));
        if self.state.borrow().has_lost_end() {
            self.spawn(cluster.elections.lost_end.clone().recover(raft.clone(), self.state.clone()));
        }
        self.spawn(server::listen(server, options.transport));
        self.spawn(cluster.elections.clone().run(raft.clone(), peers.clone()));
        self.spawn(changes::complete_changes(raft.clone()));
        if bootstraps {
            self.spawn(cluster::bootstrap(peers.clone(), options.initial, self.state.clone()));
        }
    }
}
