//! Starts a node: opens its stores, connects its parts, and starts their tasks.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use openraft::storage::RaftLogStorage;
use tokio::sync::watch;

use crate::mutants::planted;
use crate::raft::bootstrap::{bootstrap_or_rejoin, cluster};
use crate::raft::election::elections::Elections;
use crate::raft::election::lost_end::LostEnd;
use crate::raft::error::NodeStartError;
use crate::raft::interface::{Machine, PeerService};
use crate::raft::leadership;
use crate::raft::log::disk::DiskLog;
use crate::raft::membership::changes;
use crate::raft::membership::node_state::NodeState;
use crate::raft::monitors::Monitors;
use crate::raft::node::{Consensus, InCluster, NodeParts, RaftNode};
use crate::raft::options::{PeerOptions, RaftOptions, Store};
use crate::raft::peers::authorization::VouchedMembers;
use crate::raft::peers::client::Network;
use crate::raft::peers::connections::Peers;
use crate::raft::peers::hello::LocalNode;
use crate::raft::peers::incoming::PeerServer;
use crate::raft::peers::server;
use crate::raft::snapshot::policy;
use crate::raft::standalone::{self, StandaloneLog};
use crate::raft::storage::{self, OpenStores};
use crate::raft::types::{Raft, TypeConfig};

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
        let machine = Box::new(machine);
        let Some(peers) = options.peers.clone() else { return start_standalone(options, machine).await };
        let monitors = Monitors::new(options.snapshot_log_bytes, options.snapshot_log_bytes);
        match options.store.clone() {
            Store::Stable(store) => {
                let stores = storage::open_stable(&store, options.node_id, machine, &monitors)?;
                compose(options, peers, stores, monitors, service).await
            }
            Store::Memory => {
                let stores = storage::open_memory(options.node_id, machine, &monitors)?;
                compose(options, peers, stores, monitors, service).await
            }
            Store::Disk { dir, fsync } => {
                let opened = open_disk(dir, fsync, &options, machine, &monitors).await;
                let stores = opened.map_err(|e| e.among_peers(options.node_id))?;
                compose(options, peers, stores, monitors, service).await
            }
        }
    }
}

/// Opens the stores of a data directory.
async fn open_disk(
    dir: PathBuf,
    fsync: bool,
    options: &RaftOptions,
    machine: Box<dyn Machine>,
    monitors: &Monitors,
) -> Result<OpenStores<DiskLog>, NodeStartError> {
    let (monitors, id, accept) = (monitors.clone(), options.node_id, options.accept);
    let open = move || storage::open_disk(&dir, fsync, accept, id, machine, &monitors);
    tokio::task::spawn_blocking(open).await.map_err(NodeStartError::engine)?
}

/// Starts a node without peers, which keeps no log for them.
async fn start_standalone(options: RaftOptions, machine: Box<dyn Machine>) -> Result<RaftNode, NodeStartError> {
    let monitors = Monitors::new(options.snapshot_log_bytes, 0);
    let id = options.node_id;
    match options.store.clone() {
        Store::Memory => {
            let stores = storage::open_memory(id, machine, &monitors)?;
            let log = StandaloneLog::Memory(monitors.log.clone());
            compose_standalone(options, stores.with_log(|_| log), monitors).await
        }
        Store::Stable(store) => {
            let stores = storage::open_stable(&store, id, machine, &monitors)?;
            compose_standalone(options, stores.with_log(StandaloneLog::Stable), monitors).await
        }
        Store::Disk { dir, fsync } => {
            let stores = open_disk(dir, fsync, &options, machine, &monitors).await?;
            compose_standalone(options, stores.with_log(StandaloneLog::Disk), monitors).await
        }
    }
}

async fn compose_standalone(
    options: RaftOptions,
    mut stores: OpenStores<StandaloneLog>,
    monitors: Monitors,
) -> Result<RaftNode, NodeStartError> {
    if let (true, Err(implausible)) = (stores.empty, options.may_begin) {
        return Err(refuse(stores, implausible.into()).await);
    }
    let (node, lead) = match standalone::start(options.node_id, stores.log, stores.machine).await {
        Ok(started) => started,
        Err(refused) => {
            // The caller may want the directory right away.
            stores.released.recv().await;
            return Err(refused);
        }
    };
    let mut parts = NodeParts {
        id: options.node_id,
        leadership: node.leadership.subscribe(),
        state: watch::Sender::new(NodeState::Member),
        monitors,
        store_id: stores.id,
        store_was_empty: stores.empty,
        closed: tokio::sync::Mutex::new(stores.released),
        data_dir: options.store.data_dir(),
        tasks: Vec::new(),
        consensus: Consensus::Standalone(node.clone()),
    };
    parts.spawn(lead);
    parts.spawn(standalone::take_snapshots(node, parts.monitors.snapshots.clone()));
    parts.watch_data_dir(stores.data_dir.upgrade());
    Ok(RaftNode { parts: Arc::new(parts) })
}

/// Closes the stores of a node that may not start: the caller may want the directory right away.
async fn refuse<L>(stores: OpenStores<L>, why: NodeStartError) -> NodeStartError {
    let OpenStores { log, machine, mut released, .. } = stores;
    drop((log, machine));
    released.recv().await;
    why
}

/// Connects the parts of a node with peers on the stores that were opened, and starts their tasks.
async fn compose<L: RaftLogStorage<TypeConfig>>(
    options: RaftOptions,
    with: PeerOptions,
    stores: OpenStores<L>,
    monitors: Monitors,
    service: Arc<dyn PeerService>,
) -> Result<RaftNode, NodeStartError> {
    if let (true, Err(implausible)) = (stores.empty, options.may_begin) {
        return Err(refuse(stores, implausible.into()).await);
    }
    let OpenStores { log, machine, id: store_id, empty, mut released, data_dir, lost } = stores;
    let local = Arc::new(LocalNode {
        node_id: options.node_id,
        store_id,
        store_was_empty: empty,
        initial: with.initial.keys().copied().collect(),
        service,
        raft: OnceLock::new(),
    });
    let peers = Peers::new(local.clone(), with.transport.clone());
    let config = options.openraft_config().map_err(NodeStartError::engine)?;
    let raft = Raft::new(options.node_id, Arc::new(config), Network(peers.clone()), log, machine).await;
    let raft = raft.map_err(NodeStartError::engine)?;
    // Cannot be set already: it was made above.
    let _ = local.raft.set(raft.clone());
    let lost = planted!("lost-end-forgotten", lost => None);
    if let Err(refused) = bootstrap_or_rejoin(&raft, options.node_id, &with, lost.is_some()).await {
        // The caller may want the directory right away.
        drop(raft.shutdown().await);
        released.recv().await;
        return Err(refused);
    }
    let lost_end = Arc::new(LostEnd::new(options.node_id, lost));
    let elections = Arc::new(Elections::new(&options, lost_end.clone(), monitors.log.clone()));
    let bootstraps = empty && with.has_others(options.node_id);
    let awaits = local.initial.iter().copied().filter(|node| *node != options.node_id).collect();
    let state = match bootstraps {
        true => NodeState::Bootstrapping { awaits },
        false => lost_end.state(&raft),
    };
    let advertise = with.advertise.clone();
    let cluster = InCluster { raft, advertise, peers: peers.clone(), elections, lost_end };
    let mut parts = NodeParts {
        id: options.node_id,
        leadership: leadership::watch_leadership(&cluster.raft, monitors.log.clone()),
        state: watch::Sender::new(state),
        monitors,
        store_id,
        store_was_empty: empty,
        closed: tokio::sync::Mutex::new(released),
        data_dir: options.store.data_dir(),
        tasks: Vec::new(),
        consensus: Consensus::Openraft(cluster.clone()),
    };
    parts.watch_data_dir(data_dir.upgrade());
    parts.join_peers(&cluster, with, local, bootstraps);
    Ok(RaftNode { parts: Arc::new(parts) })
}

impl NodeParts {
    fn join_peers(&mut self, cluster: &InCluster, options: PeerOptions, local: Arc<LocalNode>, bootstraps: bool) {
        let (raft, peers) = (&cluster.raft, &cluster.peers);
        let server = PeerServer {
            local,
            peers: peers.clone(),
            raft: raft.clone(),
            elections: cluster.elections.clone(),
            monitors: self.monitors.clone(),
            vouched: VouchedMembers::default(),
        };
        self.spawn(policy::take_snapshots(raft.clone(), self.monitors.snapshots.clone()));
        if self.state.borrow().has_lost_end() {
            self.spawn(cluster.lost_end.clone().recover(raft.clone(), self.state.clone()));
        }
        self.spawn(server::listen(server, options.transport));
        self.spawn(cluster.elections.clone().run(raft.clone(), peers.clone()));
        self.spawn(changes::complete_changes(raft.clone()));
        if bootstraps {
            self.spawn(cluster::bootstrap(peers.clone(), options.initial, self.state.clone()));
        }
    }
}
