//! A running node: what it consists of, what may be asked of it, and how it ends.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;

use crate::raft::data_dir::directory::{self, DataDir};
use crate::raft::data_dir::removal;
use crate::raft::election::elections::Elections;
use crate::raft::leadership::Leadership;
use crate::raft::log::monitor;
use crate::raft::membership::node_state::NodeState;
use crate::raft::monitors::Monitors;
use crate::raft::peers::connections::Peers;
use crate::raft::standalone::Standalone;
use crate::raft::storage::Released;
use crate::raft::types::{NodeId, Raft, StoredMembership};

/// A running node; clones are the same node.
#[derive(Clone)]
pub struct RaftNode {
    pub(in crate::raft) parts: Arc<NodeParts>,
    pub(in crate::raft) closed: Arc<Mutex<Released>>,
}

/// What a running node consists of.
pub(in crate::raft) struct NodeParts {
    pub(in crate::raft) id: NodeId,
    pub(in crate::raft) consensus: Consensus,
    pub(in crate::raft) leadership: watch::Receiver<Leadership>,
    pub(in crate::raft) state: watch::Sender<NodeState>,
    pub(in crate::raft) monitors: Monitors,
    pub(in crate::raft) store_id: [u8; 16],
    pub(in crate::raft) store_was_empty: bool,
    /// `None` in memory, and where nobody watches for its removal.
    pub(in crate::raft) data_dir: Option<PathBuf>,
    /// They hold openraft, which would otherwise outlive the last handle on this node.
    pub(in crate::raft) tasks: Vec<AbortHandle>,
}

/// What orders the entries of a node.
pub(in crate::raft) enum Consensus {
    Openraft(InCluster),
    /// The node has no peers.
    Standalone(Arc<Standalone>),
}

#[derive(Clone)]
pub(in crate::raft) struct InCluster {
    pub(in crate::raft) raft: Raft,
    pub(in crate::raft) advertise: String,
    pub(in crate::raft) peers: Peers,
    pub(in crate::raft) elections: Arc<Elections>,
}

impl RaftNode {
    pub(in crate::raft) fn id(&self) -> NodeId {
        self.parts.id
    }

    /// `None` for a node without peers.
    pub(in crate::raft) fn cluster(&self) -> Option<&InCluster> {
        match &self.parts.consensus {
            Consensus::Openraft(cluster) => Some(cluster),
            Consensus::Standalone(_) => None,
        }
    }

    /// Consensus with the other nodes; `None` for a node without peers.
    pub(in crate::raft) fn raft(&self) -> Option<&Raft> {
        self.cluster().map(|cluster| &cluster.raft)
    }

    /// The order of the entries of a node without peers; `None` for a node that has some.
    pub(in crate::raft) fn standalone(&self) -> Option<&Arc<Standalone>> {
        match &self.parts.consensus {
            Consensus::Openraft(_) => None,
            Consensus::Standalone(node) => Some(node),
        }
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
        let Some(cluster) = self.cluster() else { return };
        self.parts.state.send_if_modified(|now| {
            let then = match (&*now, removed) {
                (NodeState::Member | NodeState::LostEnd { .. }, true) => NodeState::Removed { node },
                // The log may still lack its end; the task that waits for it goes on.
                (NodeState::Removed { .. }, false) => cluster.elections.lost_end.state(&cluster.raft),
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
        self.cluster().map(|cluster| &cluster.peers)
    }

    /// The PEM text of each file with certificates for the other nodes, by its configuration key. Reads the files.
    pub fn peer_certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.peers().map(|peers| peers.transport.certificates()).unwrap_or_default()
    }

    /// From now on this node neither leads nor votes, and takes no entries. Its data directory, if it has one, refuses later
    /// starts.
    pub fn quarantine(&self) {
        self.cluster().inspect(|cluster| cluster.elections.retire());
        if let Some(dir) = &self.parts.data_dir {
            directory::quarantine(dir);
        }
    }

    /// The members as the log has them.
    pub(in crate::raft) fn membership(&self) -> Arc<StoredMembership> {
        match &self.parts.consensus {
            Consensus::Openraft(cluster) => cluster.raft.metrics().borrow().membership_config.clone(),
            Consensus::Standalone(node) => node.membership(),
        }
    }

    pub(in crate::raft) fn address_of(&self, node: NodeId) -> Option<String> {
        self.membership().membership().get_node(&node).map(|node| node.addr.clone())
    }

    /// Who leads, now and from now on.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.parts.leadership.clone()
    }

    /// Who leads now, without another receiver.
    pub fn current_leadership(&self) -> Leadership {
        *self.parts.leadership.borrow()
    }

    /// Whether this node runs without peers, so that no other node can have changed anything since this one stopped.
    pub fn has_no_peers(&self) -> bool {
        self.cluster().is_none()
    }

    /// Stops the node and returns when its stores are closed and the data directory is free again.
    pub async fn shutdown(&self) {
        self.parts.monitors.log.space.close();
        self.parts.tasks.iter().for_each(AbortHandle::abort);
        match &self.parts.consensus {
            Consensus::Openraft(cluster) => {
                if let Err(error) = cluster.raft.shutdown().await {
                    tracing::error!(%error, "the consensus engine did not stop cleanly");
                }
            }
            Consensus::Standalone(node) => node.shutdown().await,
        }
        // Nothing is sent: this ends when the last store is gone.
        self.closed.lock().await.recv().await;
    }
}

impl Drop for NodeParts {
    fn drop(&mut self) {
        self.monitors.log.space.close();
        self.tasks.iter().for_each(AbortHandle::abort);
        if let Consensus::Standalone(node) = &self.consensus {
            node.close();
        }
    }
}

impl NodeParts {
    pub(in crate::raft) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task).abort_handle());
    }

    pub(in crate::raft) fn watch_data_dir(&mut self, data_dir: Option<Arc<DataDir>>) {
        if let Some(data_dir) = data_dir {
            self.spawn(monitor::warn_of_stalls(self.monitors.log.clone()));
            self.spawn(removal::watch(&data_dir));
            self.data_dir = Some(data_dir.dir.clone());
        }
    }
}
