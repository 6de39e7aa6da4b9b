//! One node: its start, proposals, leadership and end.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use openraft::storage::RaftLogStorage;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::mutants::planted;
use crate::raft::bootstrap::cluster;
use crate::raft::bootstrap::single::{config, engine_error, take_place};
use crate::raft::data_dir::{removal, store_id};
use crate::raft::election::elections::Elections;
use crate::raft::error::NodeStartError;
use crate::raft::leadership;
use crate::raft::leadership::Leadership;
use crate::raft::log::monitor;
use crate::raft::machine::Machine;
use crate::raft::membership::completion;
use crate::raft::membership::node_state::NodeState;
use crate::raft::monitors::Monitors;
use crate::raft::options::{PeerService, RaftOptions, Store};
use crate::raft::peers::authorization::VouchedMembers;
use crate::raft::peers::client::Network;
use crate::raft::peers::connections::Peers;
use crate::raft::peers::hello::LocalNode;
use crate::raft::peers::server;
use crate::raft::peers::server::PeerServer;
use crate::raft::snapshot::scheduler;
use crate::raft::storage;
use crate::raft::storage::OpenStores;
use crate::raft::types::{NodeId, Raft, TypeConfig};

/// A running node; clones are the same node.
#[derive(Clone)]
pub struct RaftNode {
    inner: Arc<Inner>,
}

struct Inner {
    id: NodeId,
    raft: Raft,
    leadership: watch::Receiver<Leadership>,
    stands: watch::Sender<NodeState>,
    monitors: Monitors,
    store_id: [u8; 16],
    store_was_empty: bool,
    /// Ends when the stores are closed and the data directory is free.
    closed: tokio::sync::Mutex<mpsc::Receiver<()>>,
    elections: Arc<Elections>,
    data_dir: Option<PathBuf>,
    peers: Option<InCluster>,
    /// They hold the log engine, which would otherwise outlive the last handle on this node.
    tasks: Vec<AbortHandle>,
}

struct InCluster {
    advertise: String,
    peers: Peers,
}

impl RaftNode {
    /// Opens the store, brings the machine to the newest snapshot, and lets the log bring it up to date.
    ///
    /// On an empty store a node without peers makes itself a cluster of one. One with peers returns before it belongs
    /// to a cluster, so that it can say so: see [`RaftNode::state`].
    pub async fn start(
        options: RaftOptions,
        machine: impl Machine,
        service: Arc<dyn PeerService>,
    ) -> Result<RaftNode, NodeStartError> {
        // Who has no peers keeps no log for them.
        let kept_bytes = options.peers.as_ref().map_or(0, |_| options.snapshot_log_bytes);
        let monitors = Monitors::new(options.snapshot_log_bytes, kept_bytes);
        match options.store.clone() {
            Store::Stable(store) => {
                let stores = storage::open_stable(&store, options.node_id, machine, &monitors)?;
                run(options, stores, monitors, service).await
            }
            Store::Memory => {
                let stores = storage::open_memory(options.node_id, machine, &monitors)?;
                run(options, stores, monitors, service).await
            }
            Store::Disk { dir, fsync } => {
                let (shared, id, accept) = (monitors.clone(), options.node_id, options.accept);
                let alone = options.peers.is_none();
                let open = move || storage::open_disk(&dir, fsync, accept, id, alone, machine, &shared);
                let open = tokio::task::spawn_blocking(open);
                let opened = open.await.map_err(|e| NodeStartError::Engine(e.to_string()))?;
                let stores = opened.map_err(|e| if options.peers.is_some() { e.among_peers(id) } else { e })?;
                run(options, stores, monitors, service).await
            }
        }
    }

    pub(in crate::raft) fn id(&self) -> NodeId {
        self.inner.id
    }

    pub(in crate::raft) fn raft(&self) -> &Raft {
        &self.inner.raft
    }

    /// Whether nothing was stored when this node started, so that its state begins anew.
    pub fn store_was_empty(&self) -> bool {
        self.inner.store_was_empty
    }

    /// The name of this node's store: made with its data directory; in memory, with the process.
    pub fn store_id(&self) -> [u8; 16] {
        self.inner.store_id
    }

    /// How this node stands to its cluster, now and from now on.
    pub fn state(&self) -> watch::Receiver<NodeState> {
        self.inner.stands.subscribe()
    }

    /// What the leader has said of this node: whether it is none of the members any more.
    pub fn set_removed(&self, removed: bool) {
        let node = self.inner.id;
        self.inner.stands.send_if_modified(|now| {
            let then = match (&*now, removed) {
                (NodeState::Member | NodeState::LostEnd { .. }, true) => NodeState::Removed { node },
                // What the log had lost it may lack still: then whoever waits for it goes on.
                (NodeState::Removed { .. }, false) => self.inner.elections.standing(&self.inner.raft),
                _ => return false,
            };
            *now = then;
            true
        });
    }

    pub(in crate::raft) fn monitors(&self) -> &Monitors {
        &self.inner.monitors
    }

    pub(in crate::raft) fn peers(&self) -> Option<&Peers> {
        self.inner.peers.as_ref().map(|peers| &peers.peers)
    }

    /// The PEM text of each file with certificates for the other nodes, by its configuration key. Reads the files.
    pub fn peer_certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.peers().map(Peers::certificates).unwrap_or_default()
    }

    pub(in crate::raft) fn elections(&self) -> &Elections {
        &self.inner.elections
    }

    /// From now on this node neither leads nor votes, and takes no entries; nor does it after a restart, where it has a
    /// directory.
    pub fn quarantine(&self) {
        self.inner.elections.retire();
        if let Some(dir) = &self.inner.data_dir {
            store_id::set_aside(dir);
        }
    }

    pub(in crate::raft) fn advertised(&self) -> Option<&str> {
        self.inner.peers.as_ref().map(|peers| peers.advertise.as_str())
    }

    pub(in crate::raft) fn address_of(&self, node: NodeId) -> Option<String> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        metrics.membership_config.membership().get_node(&node).map(|node| node.addr.clone())
    }

    /// Who leads, now and from now on.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    /// Whether no other node can have changed anything since this one has stopped.
    pub fn has_no_peers(&self) -> bool {
        self.inner.peers.is_none()
    }

    /// Stops the node and returns when its stores are closed and the data directory is free again.
    pub async fn shutdown(&self) {
        self.inner.monitors.log.space.close();
        self.inner.tasks.iter().for_each(AbortHandle::abort);
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::error!(%error, "the log engine did not stop cleanly");
        }
        // Nobody sends: this ends when the last store is gone.
        self.inner.closed.lock().await.recv().await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.monitors.log.space.close();
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn run<L, M>(
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
    if let (true, Err(absurd)) = (empty, options.may_begin) {
        drop((log, machine));
        released.recv().await;
        return Err(absurd.into());
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
    let config = config(&options).map_err(engine_error)?;
    let raft = Raft::new(options.node_id, Arc::new(config), Network(peers.clone()), log, machine).await;
    let raft = raft.map_err(engine_error)?;
    // Cannot be set already: it was made above.
    let _ = local.raft.set(raft.clone());
    let lost = planted!("lost-end-forgotten", lost.filter(|_| options.peers.is_some()) => None);
    if let Err(refused) = take_place(&raft, &options, lost.is_some()).await {
        // The caller may want the directory right away.
        drop(raft.shutdown().await);
        released.recv().await;
        return Err(refused);
    }
    let elections = Arc::new(Elections::new(&options, lost, monitors.log.clone()));
    let mut tasks =
        vec![tokio::spawn(scheduler::take_snapshots(raft.clone(), monitors.snapshots.clone())).abort_handle()];
    if let Some(data_dir) = data_dir.upgrade() {
        tasks.push(tokio::spawn(monitor::warn_of_stalls(monitors.log.clone())).abort_handle());
        tasks.push(tokio::spawn(removal::watch(&data_dir)).abort_handle());
    }
    let forms = empty && options.peers.as_ref().is_some_and(|peers| peers.has_others(options.node_id));
    let awaits = local.initial.iter().copied().filter(|node| *node != options.node_id).collect();
    let stands = watch::Sender::new(match elections.standing(&raft) {
        _ if forms => NodeState::Bootstrapping { awaits },
        stands => stands,
    });
    if let NodeState::LostEnd { .. } = &*stands.borrow() {
        tasks.push(tokio::spawn(elections.clone().regain(raft.clone(), stands.clone())).abort_handle());
    }
    if let (Some(peers), Some(options)) = (&peers, &options.peers) {
        let serving = PeerServer {
            local,
            peers: peers.clone(),
            raft: raft.clone(),
            elections: elections.clone(),
            monitors: monitors.clone(),
            vouched: VouchedMembers::default(),
        };
        tasks.push(tokio::spawn(server::listen(serving, options.transport.clone())).abort_handle());
        tasks.push(tokio::spawn(elections.clone().beat(raft.clone(), peers.clone())).abort_handle());
        tasks.push(tokio::spawn(completion::complete_changes(raft.clone())).abort_handle());
        if forms {
            tasks.push(
                tokio::spawn(cluster::form(peers.clone(), options.initial.clone(), stands.clone())).abort_handle(),
            );
        }
    }
    let inner = Inner {
        id: options.node_id,
        leadership: leadership::watch_leadership(&raft, monitors.log.clone()),
        stands,
        monitors,
        store_id,
        store_was_empty: empty,
        closed: tokio::sync::Mutex::new(released),
        elections,
        data_dir: match options.store {
            Store::Disk { dir, .. } => Some(dir),
            Store::Memory | Store::Stable(_) => None,
        },
        peers: peers.zip(options.peers).map(|(peers, options)| InCluster { advertise: options.advertise, peers }),
        tasks,
        raft,
    };
    Ok(RaftNode { inner: Arc::new(inner) })
}
