//! One node: its start, proposals, leadership and end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{CheckIsLeaderError, ClientWriteError, Fatal, RaftError};
use openraft::metrics::RaftServerMetrics;
use openraft::storage::RaftLogStorage;
use openraft::{BasicNode, Config, ServerState, SnapshotPolicy};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::meters::Meters;
use super::network::NoPeers;
use super::stores::{self, Stores};
use super::types::{NodeId, Raft, TypeConfig};
use super::{
    CallError, HandOverError, Leadership, Machine, PeerService, Progress, ProposeError, RaftOptions, ReadError,
    Standing, StartError, Store, fatal,
};

/// Entries kept behind a snapshot, for followers that are only a little late. Few, because one entry may be a batch of
/// a thousand commands and the log is bounded in bytes.
const KEPT_ENTRIES: u64 = 16;

const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A running node; clones are the same node.
#[derive(Clone)]
pub struct RaftNode {
    inner: Arc<Inner>,
}

struct Inner {
    id: NodeId,
    raft: Raft,
    leadership: watch::Receiver<Leadership>,
    standing: watch::Receiver<Standing>,
    meters: Arc<Meters>,
    store_id: [u8; 16],
    store_was_empty: bool,
    /// Ends when the stores are closed and the data directory is free.
    closed: tokio::sync::Mutex<mpsc::Receiver<()>>,
    snapshots: AbortHandle,
}

impl RaftNode {
    /// Opens the store, brings the machine to the newest snapshot, and lets the log bring it up to date.
    ///
    /// On an empty store a node without peers makes itself a cluster of one. One with peers returns before it belongs
    /// to a cluster, so that it can say so: see [`RaftNode::standing`].
    pub async fn start(
        options: RaftOptions,
        machine: impl Machine,
        service: Arc<dyn PeerService>,
    ) -> Result<RaftNode, StartError> {
        let meters = Arc::new(Meters::new(options.snapshot_log_bytes));
        match options.store.clone() {
            Store::Memory => {
                let stores = stores::open_memory(machine, &meters)?;
                run(options, stores, meters, service).await
            }
            Store::Disk { dir, fsync } => {
                let (shared, id) = (meters.clone(), options.node_id);
                let open = tokio::task::spawn_blocking(move || stores::open_disk(&dir, fsync, id, machine, &shared));
                let stores = open.await.map_err(|e| StartError::Engine(e.to_string()))??;
                run(options, stores, meters, service).await
            }
        }
    }

    pub(super) fn id(&self) -> NodeId {
        self.inner.id
    }

    pub(super) fn raft(&self) -> &Raft {
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
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.inner.standing.clone()
    }

    /// Asks the engine of another node; the caller bounds how long it waits. Nothing is asked twice.
    pub async fn call(&self, node: u64, _request: Bytes) -> Result<Bytes, CallError> {
        Err(CallError::UnknownNode { node })
    }

    /// Has the most advanced of the other voters take over, and resolves when another node leads. Nothing should be
    /// proposed meanwhile.
    pub async fn hand_over(&self) -> Result<(), HandOverError> {
        Err(HandOverError::NoCandidate)
    }

    /// Puts `payload` into the log as one entry; resolves with its index after it was applied here.
    pub async fn propose(&self, payload: Vec<u8>) -> Result<u64, ProposeError> {
        let led = self.inner.leadership.borrow().is_leader;
        let sent = self.inner.raft.client_write_ff(Bytes::from(payload)).await;
        let answer = sent.map_err(not_sent)?.await;
        match answer {
            Ok(Ok(written)) => Ok(written.log_id.index),
            // Once it led, the same error may also mean that the entry was written and then replaced.
            Ok(Err(ClientWriteError::ForwardToLeader(_))) if led => Err(ProposeError::OutcomeUnknown),
            Ok(Err(ClientWriteError::ForwardToLeader(to))) => Err(match to.leader_id {
                Some(leader) => ProposeError::NotLeader { leader: Some(leader) },
                None => ProposeError::NoQuorum,
            }),
            Ok(Err(ClientWriteError::ChangeMembershipError(_))) | Err(_) => Err(ProposeError::OutcomeUnknown),
        }
    }

    /// Who leads, now and from now on.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    /// One round to a quorum: everything that was answered before this call is at most at the index that it returns.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        match self.inner.raft.get_read_log_id().await {
            Ok((read, _)) => Ok(read.map_or(0, |id| id.index)),
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to))) => {
                Err(ReadError::NotLeader { leader: to.leader_id })
            }
            Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => Err(ReadError::NoQuorum),
            Err(RaftError::Fatal(_)) => Err(ReadError::ShuttingDown),
        }
    }

    /// Resolves when this node has applied everything up to `index`.
    pub async fn applied(&self, index: u64) {
        self.inner.meters.applied(index).await;
    }

    /// How long ago a quorum last acknowledged this leader, to within a heartbeat; `None` where it does not lead.
    pub fn quorum_age(&self) -> Option<Duration> {
        self.inner.raft.metrics().borrow().millis_since_quorum_ack.map(Duration::from_millis)
    }

    /// Where the log stands; costs four loads.
    pub fn progress(&self) -> Progress {
        self.inner.meters.progress()
    }

    /// Stops the node and returns when its stores are closed and the data directory is free again.
    pub async fn shutdown(&self) {
        self.inner.snapshots.abort();
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::error!(%error, "the log engine did not stop cleanly");
        }
        // Nobody sends: this ends when the last store is gone.
        self.inner.closed.lock().await.recv().await;
    }
}

impl Drop for Inner {
    /// The task holds the log engine, which would otherwise outlive the last handle on this node.
    fn drop(&mut self) {
        self.snapshots.abort();
    }
}

async fn run<L, M>(
    options: RaftOptions,
    stores: Stores<L, M>,
    meters: Arc<Meters>,
    _service: Arc<dyn PeerService>,
) -> Result<RaftNode, StartError>
where
    L: RaftLogStorage<TypeConfig>,
    M: Machine,
{
    let engine = |e: &dyn std::fmt::Display| StartError::Engine(e.to_string());
    let Stores { log, machine, id: store_id, empty, mut released } = stores;
    let node_id = options.node_id;
    let (_, standing) = watch::channel(Standing::Member);
    let config = config().map_err(|e| engine(&e))?;
    let raft = Raft::new(node_id, Arc::new(config), NoPeers, log, machine).await.map_err(|e| engine(&e))?;
    if let Err(refused) = lead(&raft, node_id).await {
        // The caller may want the directory right away.
        drop(raft.shutdown().await);
        released.recv().await;
        return Err(refused);
    }
    let inner = Inner {
        id: node_id,
        standing,
        store_id,
        leadership: watch_leadership(&raft),
        snapshots: tokio::spawn(take_snapshots(raft.clone(), meters.clone())).abort_handle(),
        meters,
        store_was_empty: empty,
        closed: tokio::sync::Mutex::new(released),
        raft,
    };
    Ok(RaftNode { inner: Arc::new(inner) })
}

fn config() -> Result<Config, openraft::ConfigError> {
    let config = Config {
        cluster_name: "latchd".to_owned(),
        heartbeat_interval: 250,
        election_timeout_min: 1000,
        election_timeout_max: 2000,
        // Entries vary from bytes to a megabyte, so their number says nothing: `meters` decides by bytes.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: KEPT_ENTRIES,
        ..Config::default()
    };
    config.validate()
}

/// Makes a cluster of one out of an empty store, and lets the only voter stand for election without a wait.
async fn lead(raft: &Raft, node_id: NodeId) -> Result<(), StartError> {
    let engine = |e: &dyn std::fmt::Display| StartError::Engine(e.to_string());
    if !raft.is_initialized().await.map_err(|e| engine(&e))? {
        let members = BTreeMap::from([(node_id, BasicNode::default())]);
        return raft.initialize(members).await.map_err(|e| engine(&e));
    }
    let voters: Vec<NodeId> = raft.server_metrics().borrow().membership_config.voter_ids().collect();
    if !voters.contains(&node_id) {
        return Err(StartError::OtherNode { node_id, found: voters });
    }
    if voters.len() == 1 {
        // Nothing happens where this node leads already, which a restarted leader does.
        raft.trigger().elect().await.map_err(|e| engine(&e))?;
    }
    Ok(())
}

/// Reduces openraft's view to ours, and ends the process where openraft has failed.
fn watch_leadership(raft: &Raft) -> watch::Receiver<Leadership> {
    let mut server = raft.server_metrics();
    let metrics = raft.metrics();
    let (sender, receiver) = watch::channel(view(&server.borrow_and_update()));
    tokio::spawn(async move {
        while server.changed().await.is_ok() {
            let now = view(&server.borrow_and_update());
            sender.send_if_modified(|before| std::mem::replace(before, now) != now);
        }
        sender.send_modify(|leadership| leadership.is_leader = false);
        // A panic is not seen from here; the next proposal finds it.
        if let Err(error @ Fatal::StorageError(_)) = &metrics.borrow().running_state {
            fatal::abort("the log engine has failed", error);
        }
    });
    receiver
}

fn view(server: &RaftServerMetrics<NodeId, BasicNode>) -> Leadership {
    Leadership {
        is_leader: server.state == ServerState::Leader,
        term: server.vote.leader_id.term,
        leader: server.current_leader,
    }
}

/// openraft drops a request that arrives before it has noticed the end of the last build, so that asking once is not enough.
async fn take_snapshots(raft: Raft, meters: Arc<Meters>) {
    loop {
        if meters.snapshot_wanted() {
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
            drop(tokio::time::timeout(ASK_AGAIN_AFTER, meters.snapshot_wanted_changed()).await);
        } else {
            meters.snapshot_wanted_changed().await;
        }
    }
}

fn not_sent(error: Fatal<NodeId>) -> ProposeError {
    match error {
        // Who watches the engine is about to end the process.
        Fatal::StorageError(_) => ProposeError::StorageFailed,
        Fatal::Panicked => fatal::abort("the log engine has failed", &error),
        Fatal::Stopped => ProposeError::ShuttingDown,
    }
}
