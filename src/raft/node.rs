//! One node: its start, proposals, leadership and end.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{CheckIsLeaderError, ClientWriteError, Fatal, RaftError};
use openraft::storage::RaftLogStorage;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::begin::{config, engine_error, take_place};
use super::meters::Meters;
use super::peers::{self, LinkError, Local, Network, Peers, Serving, Vouched};
use super::pulse::Pulse;
use super::stores::{self, Stores};
use super::types::{NodeId, Raft, TypeConfig};
use super::{
    CallError, Leadership, Machine, NodeStartError, NodeState, PeerService, Progress, ProposeError, RaftOptions,
    ReadError, Store, fatal, forming, members, presence, slow_disk, snapshotting, store_id, watching,
};
use crate::base::clock::process_age;
use crate::base::histogram::Distribution;
use crate::mutants::planted;

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
    meters: Arc<Meters>,
    store_id: [u8; 16],
    store_was_empty: bool,
    /// Ends when the stores are closed and the data directory is free.
    closed: tokio::sync::Mutex<mpsc::Receiver<()>>,
    pulse: Arc<Pulse>,
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
        let meters = Arc::new(Meters::new(options.snapshot_log_bytes, kept_bytes));
        match options.store.clone() {
            Store::Simulated(disk) => {
                let stores = stores::open_simulated(&disk, options.node_id, machine, &meters)?;
                run(options, stores, meters, service).await
            }
            Store::Memory => {
                let stores = stores::open_memory(options.node_id, machine, &meters)?;
                run(options, stores, meters, service).await
            }
            Store::Disk { dir, fsync } => {
                let (shared, id, accept) = (meters.clone(), options.node_id, options.accept);
                let alone = options.peers.is_none();
                let open = move || stores::open_disk(&dir, fsync, accept, id, alone, machine, &shared);
                let open = tokio::task::spawn_blocking(open);
                let opened = open.await.map_err(|e| NodeStartError::Engine(e.to_string()))?;
                let stores = opened.map_err(|e| if options.peers.is_some() { e.among_peers(id) } else { e })?;
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
                (NodeState::Removed { .. }, false) => self.inner.pulse.standing(&self.inner.raft),
                _ => return false,
            };
            *now = then;
            true
        });
    }

    pub(super) fn peers(&self) -> Option<&Peers> {
        self.inner.peers.as_ref().map(|peers| &peers.peers)
    }

    /// The PEM text of each file with certificates for the other nodes, by its configuration key. Reads the files.
    pub fn peer_certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.peers().map(Peers::certificates).unwrap_or_default()
    }

    pub(super) fn pulse(&self) -> &Pulse {
        &self.inner.pulse
    }

    /// From now on this node neither leads nor votes, and takes no entries; nor does it after a restart, where it has a
    /// directory.
    pub fn quarantine(&self) {
        self.inner.pulse.retire();
        if let Some(dir) = &self.inner.data_dir {
            store_id::set_aside(dir);
        }
    }

    pub(super) fn advertised(&self) -> Option<&str> {
        self.inner.peers.as_ref().map(|peers| peers.advertise.as_str())
    }

    /// Asks the engine of another node; the caller bounds how long it waits. Nothing is asked twice.
    pub async fn call(&self, node: u64, request: Bytes) -> Result<Bytes, CallError> {
        let unknown = CallError::UnknownNode { node };
        let Some(peers) = self.peers() else { return Err(unknown) };
        let Some(address) = self.address_of(node) else { return Err(unknown) };
        peers.call(node, &address, request).await.map_err(|error| not_called(node, error))
    }

    /// The same of a node that need be no member, under its address.
    pub async fn call_at(&self, node: u64, address: &str, request: Bytes) -> Result<Bytes, CallError> {
        let Some(peers) = self.peers() else { return Err(CallError::UnknownNode { node }) };
        peers.call(node, address, request).await.map_err(|error| not_called(node, error))
    }

    pub(super) fn address_of(&self, node: NodeId) -> Option<String> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        metrics.membership_config.membership().get_node(&node).map(|node| node.addr.clone())
    }

    /// Puts `payload` into the log as one entry; resolves with its index after it was applied here.
    pub async fn propose(&self, payload: Bytes) -> Result<u64, ProposeError> {
        let led = self.inner.leadership.borrow().is_leader;
        let sent = self.inner.raft.client_write_ff(payload).await;
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

    /// How long appends took until they were on disk; empty where the log is in memory.
    pub fn flushes(&self) -> Distribution {
        self.inner.meters.flushes.read()
    }

    /// For how long an append has not been flushed.
    pub fn flush_stalled(&self) -> Duration {
        self.inner.meters.slow_disk.stalled_for(process_age())
    }

    /// Where the log stands; costs four loads.
    pub fn progress(&self) -> Progress {
        self.inner.meters.progress()
    }

    /// The last entry that is no longer in the log, because a snapshot covers it.
    pub fn purged_index(&self) -> Option<u64> {
        self.inner.raft.data_metrics().borrow().purged.map(|id| id.index)
    }

    /// Whether the disk was full at the start and still is: nothing can be written, so nothing changes.
    pub fn is_disk_full(&self) -> bool {
        self.inner.meters.room.is_full()
    }

    /// Waits for what needs the disk, unless that is full.
    pub async fn unless_disk_full<T>(&self, wait: impl Future<Output = T>) {
        tokio::select! {
            _ = wait => {}
            () = self.inner.meters.room.filled() => {}
        }
    }

    /// Whether no other node can have changed anything since this one has stopped.
    pub fn has_no_peers(&self) -> bool {
        self.inner.peers.is_none()
    }

    /// How much room the next snapshot takes, and the log until then.
    pub fn reserve_bytes(&self) -> u64 {
        self.inner.meters.reserve_bytes()
    }

    /// Whether the last snapshot did not fit on the disk.
    pub fn is_snapshot_unfit(&self) -> bool {
        self.inner.meters.is_unfit()
    }

    /// Stops the node and returns when its stores are closed and the data directory is free again.
    pub async fn shutdown(&self) {
        self.inner.meters.room.close();
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
        self.meters.room.close();
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn run<L, M>(
    options: RaftOptions,
    stores: Stores<L, M>,
    meters: Arc<Meters>,
    service: Arc<dyn PeerService>,
) -> Result<RaftNode, NodeStartError>
where
    L: RaftLogStorage<TypeConfig>,
    M: Machine,
{
    let Stores { log, machine, id: store_id, empty, mut released, data_dir, lost } = stores;
    if let (true, Err(absurd)) = (empty, options.may_begin) {
        drop((log, machine));
        released.recv().await;
        return Err(absurd.into());
    }
    let local = Arc::new(Local {
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
    let pulse = Arc::new(Pulse::new(&options, lost, meters.clone()));
    let mut tasks = vec![tokio::spawn(snapshotting::take_snapshots(raft.clone(), meters.clone())).abort_handle()];
    if let Some(data_dir) = data_dir.upgrade() {
        tasks.push(tokio::spawn(slow_disk::watch(meters.clone())).abort_handle());
        tasks.push(tokio::spawn(presence::watch(&data_dir)).abort_handle());
    }
    let forms = empty && options.peers.as_ref().is_some_and(|peers| peers.has_others(options.node_id));
    let awaits = local.initial.iter().copied().filter(|node| *node != options.node_id).collect();
    let stands = watch::Sender::new(match pulse.standing(&raft) {
        _ if forms => NodeState::Bootstrapping { awaits },
        stands => stands,
    });
    if let NodeState::LostEnd { .. } = &*stands.borrow() {
        tasks.push(tokio::spawn(pulse.clone().regain(raft.clone(), stands.clone())).abort_handle());
    }
    if let (Some(peers), Some(options)) = (&peers, &options.peers) {
        let serving = Serving {
            local,
            peers: peers.clone(),
            raft: raft.clone(),
            pulse: pulse.clone(),
            meters: meters.clone(),
            vouched: Vouched::default(),
        };
        tasks.push(tokio::spawn(peers::listen(serving, options.transport.clone())).abort_handle());
        tasks.push(tokio::spawn(pulse.clone().beat(raft.clone(), peers.clone())).abort_handle());
        tasks.push(tokio::spawn(members::complete_changes(raft.clone())).abort_handle());
        if forms {
            tasks.push(
                tokio::spawn(forming::form(peers.clone(), options.initial.clone(), stands.clone())).abort_handle(),
            );
        }
    }
    let inner = Inner {
        id: options.node_id,
        leadership: watching::watch_leadership(&raft, meters.clone()),
        stands,
        meters,
        store_id,
        store_was_empty: empty,
        closed: tokio::sync::Mutex::new(released),
        pulse,
        data_dir: match options.store {
            Store::Disk { dir, .. } => Some(dir),
            Store::Memory | Store::Simulated(_) => None,
        },
        peers: peers.zip(options.peers).map(|(peers, options)| InCluster { advertise: options.advertise, peers }),
        tasks,
        raft,
    };
    Ok(RaftNode { inner: Arc::new(inner) })
}

fn not_called(node: NodeId, error: LinkError) -> CallError {
    match error {
        LinkError::Unreachable(reason) => CallError::Unreachable { node, reason },
        LinkError::Lost(reason) | LinkError::Failed(reason) => CallError::Lost { node, reason },
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
