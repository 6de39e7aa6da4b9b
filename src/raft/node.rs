//! One node: composes the parts of this room, starts them, and ends them.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use openraft::storage::RaftLogStorage;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::mutants::planted;
use crate::raft::bootstrap::{bootstrap_or_rejoin, cluster};
use crate::raft::data_dir::directory::{self, DataDir};
use crate::raft::data_dir::removal;
use crate::raft::election::elections::Elections;
use crate::raft::election::lost_end::LostEnd;
use crate::raft::error::NodeStartError;
use crate::raft::leadership::{self, Leadership};
use crate::raft::log::monitor;
use crate::raft::machine::Machine;
use crate::raft::membership::completion;
use crate::raft::membership::node_state::NodeState;
use crate::raft::monitors::Monitors;
use crate::raft::options::{PeerOptions, PeerService, RaftOptions, Store};
use crate::raft::peers::answers::PeerServer;
use crate::raft::peers::authorization::VouchedMembers;
use crate::raft::peers::client::Network;
use crate::raft::peers::connections::Peers;
use crate::raft::peers::hello::LocalNode;
use crate::raft::peers::server;
use crate::raft::snapshot::policy;
use crate::raft::storage::{self, OpenStores};
use crate::raft::types::{NodeId, Raft, TypeConfig};

/// A running node; clones are the same node.
#[derive(Clone)]
pub struct RaftNode {
    parts: Arc<NodeParts>,
}

/// What a running node consists of.
struct NodeParts {
    id: NodeId,
    raft: Raft,
    leadership: watch::Receiver<Leadership>,
    state: watch::Sender<NodeState>,
    monitors: Monitors,
    store_id: [u8; 16],
    store_was_empty: bool,
    /// Ends when the stores are closed and the data directory is free.
    closed: tokio::sync::Mutex<mpsc::Receiver<()>>,
    elections: Arc<Elections>,
    lost_end: Arc<LostEnd>,
    data_dir: Option<PathBuf>,
    peers: Option<InCluster>,
    /// They hold openraft, which would otherwise outlive the last handle on this node.
    tasks: Vec<AbortHandle>,
}

struct InCluster {
    advertise: String,
    peers: Peers,
}

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
        let kept_bytes = options.peers.as_ref().map_or(0, |_| options.snapshot_log_bytes);
        let monitors = Monitors::new(options.snapshot_log_bytes, kept_bytes);
        match options.store.clone() {
            Store::Stable(store) => {
                let stores = storage::open_stable(&store, options.node_id, machine, &monitors)?;
                compose(options, stores, monitors, service).await
            }
            Store::Memory => {
                let stores = storage::open_memory(options.node_id, machine, &monitors)?;
                compose(options, stores, monitors, service).await
            }
            Store::Disk { dir, fsync } => {
                let (shared, id, accept) = (monitors.clone(), options.node_id, options.accept);
                let alone = options.peers.is_none();
                let open = move || storage::open_disk(&dir, fsync, accept, id, alone, machine, &shared);
                let open = tokio::task::spawn_blocking(open);
                let opened = open.await.map_err(NodeStartError::engine)?;
                let stores = opened.map_err(|e| if options.peers.is_some() { e.among_peers(id) } else { e })?;
                compose(options, stores, monitors, service).await
            }
        }
    }

    pub(in crate::raft) fn id(&self) -> NodeId {
        self.parts.id
    }

    pub(in crate::raft) fn raft(&self) -> &Raft {
        &self.parts.raft
    }

    /// Whether nothing was stored when this node started, so that its state is new.
    pub fn store_was_empty(&self) -> bool {
        self.parts.store_was_empty
    }

    /// The identity of this node's store: made with its data directory; in memory, with the process.
    pub fn store_id(&self) -> [u8; 16] {
        self.parts.store_id
    }

    /// The state of this node in its cluster, now and from now on.
    pub fn state(&self) -> watch::Receiver<NodeState> {
        self.parts.state.subscribe()
    }

    /// Notes what the leader has said of this node: whether it was removed from the members.
    pub fn set_removed(&self, removed: bool) {
        let node = self.parts.id;
        self.parts.state.send_if_modified(|now| {
            let then = match (&*now, removed) {
                (NodeState::Member | NodeState::LostEnd { .. }, true) => NodeState::Removed { node },
                // The log may still lack its end; the task that waits for it goes on.
                (NodeState::Removed { .. }, false) => self.parts.lost_end.state(&self.parts.raft),
                _ => return false,
            };
            *now = then;
            true
        });
    }

    pub(in crate::raft) fn monitors(&self) -> &Monitors {
        &self.parts.monitors
    }

    pub(in crate::raft) fn peers(&self) -> Option<&Peers> {
        self.parts.peers.as_ref().map(|peers| &peers.peers)
    }

    /// The PEM text of each file with certificates for the other nodes, by its configuration key. Reads the files.
    pub fn peer_certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.peers().map(Peers::certificates).unwrap_or_default()
    }

    pub(in crate::raft) fn elections(&self) -> &Elections {
        &self.parts.elections
    }

    /// From now on this node neither leads nor votes, and takes no entries. Its data directory, if it has one, refuses later
    /// starts.
    pub fn quarantine(&self) {
        self.parts.elections.retire();
        if let Some(dir) = &self.parts.data_dir {
            directory::quarantine(dir);
        }
    }

    pub(in crate::raft) fn advertised(&self) -> Option<&str> {
        self.parts.peers.as_ref().map(|peers| peers.advertise.as_str())
    }

    pub(in crate::raft) fn address_of(&self, node: NodeId) -> Option<String> {
        let metrics = self.parts.raft.metrics();
        let metrics = metrics.borrow();
        metrics.membership_config.membership().get_node(&node).map(|node| node.addr.clone())
    }

    /// Who leads, now and from now on.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.parts.leadership.clone()
    }

    /// Who leads now, without another receiver.
    pub(in crate::raft) fn current_leadership(&self) -> Leadership {
        *self.parts.leadership.borrow()
    }

    /// Whether this node runs without peers, so that no other node can have changed anything since this one stopped.
    pub fn has_no_peers(&self) -> bool {
        self.parts.peers.is_none()
    }

    /// Stops the node and returns when its stores are closed and the data directory is free again.
    pub async fn shutdown(&self) {
        self.parts.monitors.log.space.close();
        self.parts.tasks.iter().for_each(AbortHandle::abort);
        if let Err(error) = self.parts.raft.shutdown().await {
            tracing::error!(%error, "the consensus engine did not stop cleanly");
        }
        // Nothing is sent: this ends when the last store is gone.
        self.parts.closed.lock().await.recv().await;
    }
}

impl Drop for NodeParts {
    fn drop(&mut self) {
        self.monitors.log.space.close();
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Connects the parts of a node on the stores that were opened, and starts their tasks.
async fn compose<L, M>(
    options: RaftOptions,
    stores: OpenStores<L, M>,
    monitors: Monitors,
    service: Arc<dyn PeerService>,
) -> Result<RaftNode, NodeStartError>
where
    L: RaftLogStorage<TypeConfig>,
    M: Machine,
{
    let OpenStores { log, machine, id: store_id, empty, mut released, data_dir, lost } = stores;
    if let (true, Err(implausible)) = (empty, options.may_begin) {
        drop((log, machine));
        released.recv().await;
        return Err(implausible.into());
    }
    let local = Arc::new(LocalNode {
        node_id: options.node_id,
        store_id,
        store_was_empty: empty,
        initial: options.peers.iter().flat_map(|peers| peers.initial.keys().copied()).collect(),
        service,
        raft: OnceLock::new(),
    });
    let peers = options.peers.as_ref().map(|peers| Peers::new(local.clone(), peers.transport.clone()));
    let config = options.openraft_config().map_err(NodeStartError::engine)?;
    let raft = Raft::new(options.node_id, Arc::new(config), Network(peers.clone()), log, machine).await;
    let raft = raft.map_err(NodeStartError::engine)?;
    // Cannot be set already: it was made above.
    let _ = local.raft.set(raft.clone());
    let lost = planted!("lost-end-forgotten", lost.filter(|_| options.peers.is_some()) => None);
    if let Err(refused) = bootstrap_or_rejoin(&raft, &options, lost.is_some()).await {
        // The caller may want the directory right away.
        drop(raft.shutdown().await);
        released.recv().await;
        return Err(refused);
    }
    let lost_end = Arc::new(LostEnd::new(options.node_id, lost));
    let elections = Arc::new(Elections::new(&options, lost_end.clone(), monitors.log.clone()));
    let bootstraps = empty && options.peers.as_ref().is_some_and(|peers| peers.has_others(options.node_id));
    let awaits = local.initial.iter().copied().filter(|node| *node != options.node_id).collect();
    let state = match bootstraps {
        true => NodeState::Bootstrapping { awaits },
        false => lost_end.state(&raft),
    };
    let mut parts = NodeParts {
        id: options.node_id,
        leadership: leadership::watch_leadership(&raft, monitors.log.clone()),
        state: watch::Sender::new(state),
        monitors,
        store_id,
        store_was_empty: empty,
        closed: tokio::sync::Mutex::new(released),
        elections,
        lost_end,
        data_dir: options.store.data_dir(),
        peers: None,
        tasks: Vec::new(),
        raft,
    };
    parts.watch_storage(data_dir.upgrade());
    if let Some((peers, options)) = peers.zip(options.peers) {
        parts.join_peers(peers, options, local, bootstraps);
    }
    Ok(RaftNode { parts: Arc::new(parts) })
}

impl NodeParts {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task).abort_handle());
    }

    fn watch_storage(&mut self, data_dir: Option<Arc<DataDir>>) {
        self.spawn(policy::take_snapshots(self.raft.clone(), self.monitors.snapshots.clone()));
        if let Some(data_dir) = data_dir {
            self.spawn(monitor::warn_of_stalls(self.monitors.log.clone()));
            self.spawn(removal::watch(&data_dir));
        }
        if self.state.borrow().has_lost_end() {
            self.spawn(self.lost_end.clone().recover(self.raft.clone(), self.state.clone()));
        }
    }

    fn join_peers(&mut self, peers: Peers, options: PeerOptions, local: Arc<LocalNode>, bootstraps: bool) {
        let server = PeerServer {
            local,
            peers: peers.clone(),
            raft: self.raft.clone(),
            elections: self.elections.clone(),
            monitors: self.monitors.clone(),
            vouched: VouchedMembers::default(),
        };
        self.spawn(server::listen(server, options.transport));
        self.spawn(self.elections.clone().run(self.raft.clone(), peers.clone()));
        self.spawn(completion::complete_changes(self.raft.clone()));
        if bootstraps {
            self.spawn(cluster::bootstrap(peers.clone(), options.initial, self.state.clone()));
        }
        self.peers = Some(InCluster { advertise: options.advertise, peers });
    }
}
