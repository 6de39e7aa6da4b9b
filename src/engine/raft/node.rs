//! One node: its start, proposals, leadership and end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use openraft::error::{ClientWriteError, Fatal};
use openraft::metrics::RaftServerMetrics;
use openraft::storage::RaftLogStorage;
use openraft::{BasicNode, Config, ServerState, SnapshotPolicy};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::dir::DataDir;
use super::log_disk::{DiskLog, LogSpan};
use super::log_memory::MemoryLog;
use super::meters::Meters;
use super::network::NoPeers;
use super::snapshot_dir::{SnapshotDir, StoredSnapshot};
use super::state_machine::{Snapshots, StateMachine};
use super::types::{NodeId, Raft, TypeConfig};
use super::{Leadership, Machine, Progress, ProposeError, RaftOptions, StartError, Store, fatal, log_check};

/// Entries kept behind a snapshot, for followers that are only a little late. Few, because one entry may be a batch of
/// a thousand commands and the log is bounded in bytes.
const KEPT_ENTRIES: u64 = 16;

/// A running node; clones are the same node.
#[derive(Clone)]
pub struct RaftNode {
    inner: Arc<Inner>,
}

struct Inner {
    raft: Raft,
    leadership: watch::Receiver<Leadership>,
    meters: Arc<Meters>,
    store_was_empty: bool,
    /// Ends when the stores are closed; taken by the first shutdown.
    closed: tokio::sync::Mutex<mpsc::Receiver<()>>,
    data_dir: Mutex<Option<DataDir>>,
    snapshots: AbortHandle,
}

impl RaftNode {
    /// Opens the store, brings the machine to the newest snapshot, and lets the log bring it up to date.
    ///
    /// On an empty store this node makes itself a cluster of one.
    pub async fn start(options: RaftOptions, machine: impl Machine) -> Result<RaftNode, StartError> {
        let meters = Arc::new(Meters::new(options.snapshot_log_bytes));
        let (alive, closed) = mpsc::channel(1);
        match options.store {
            Store::Memory => {
                let log = MemoryLog::new(meters.clone());
                let machine = StateMachine::new(machine, Snapshots::OnDemand, meters.clone(), alive);
                let machine = machine.map_err(|e| StartError::Engine(e.reason))?;
                run(options.node_id, log, machine, Opened { meters, closed, empty: true, data_dir: None }).await
            }
            Store::Disk { dir, fsync } => {
                let open = move || open_disk(&dir, fsync, machine, &meters, alive).map(|stores| (stores, meters));
                let opened = tokio::task::spawn_blocking(open).await;
                let (stores, meters) = opened.map_err(|e| StartError::Engine(e.to_string()))??;
                let opened = Opened { meters, closed, empty: stores.empty, data_dir: Some(stores.data_dir) };
                run(options.node_id, stores.log, stores.machine, opened).await
            }
        }
    }

    /// Whether nothing was stored when this node started, so that its state begins anew.
    pub fn store_was_empty(&self) -> bool {
        self.inner.store_was_empty
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
        // Every holder of a store has a sender and none sends: this ends when the last one is gone.
        self.inner.closed.lock().await.recv().await;
        self.inner.data_dir.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What `start` has opened, besides the log and the machine.
struct Opened {
    meters: Arc<Meters>,
    closed: mpsc::Receiver<()>,
    empty: bool,
    data_dir: Option<DataDir>,
}

struct DiskStores<M> {
    log: DiskLog,
    machine: StateMachine<M>,
    empty: bool,
    data_dir: DataDir,
}

fn open_disk<M: Machine>(
    dir: &Path,
    fsync: bool,
    machine: M,
    meters: &Arc<Meters>,
    alive: mpsc::Sender<()>,
) -> Result<DiskStores<M>, StartError> {
    let data_dir = DataDir::open(dir)?;
    log_check::check_and_cut(&data_dir.log)?;
    let snapshots = Arc::new(SnapshotDir::open(&data_dir.snapshot)?);
    let stored = snapshots.current();
    let log = DiskLog::open(&data_dir.log, fsync, meters.clone(), alive.clone());
    let log = log.map_err(|e| StartError::unreadable(&data_dir.log, 0, e))?;
    let span = log.span();
    check_fit(&data_dir, &span, stored.as_ref())?;
    let empty = is_empty(&span) && stored.is_none();
    let machine = StateMachine::new(machine, Snapshots::Dir(snapshots), meters.clone(), alive).map_err(|e| {
        let file = stored.map_or_else(|| data_dir.snapshot.clone(), |stored| stored.path);
        StartError::damaged(&file, e.offset, e.reason)
    })?;
    Ok(DiskStores { log, machine, empty, data_dir })
}

/// The log must begin where the snapshot ends, or before, and must be there at all where a snapshot is.
fn check_fit(data_dir: &DataDir, span: &LogSpan, stored: Option<&StoredSnapshot>) -> Result<(), StartError> {
    let covered = stored.and_then(|stored| stored.meta.last_log_id).map(|id| id.index);
    let purged = span.purged.map(|id| id.index);
    let reason = match stored {
        _ if !span.complete => format!("the entries after {purged:?} are missing"),
        _ if purged > covered => {
            format!("the entries up to {purged:?} are in no snapshot: the newest covers {covered:?}")
        }
        Some(_) if span.vote.is_none() => "it holds no vote, but there is a snapshot".to_owned(),
        _ => return Ok(()),
    };
    Err(StartError::damaged(&data_dir.log, 0, reason))
}

fn is_empty(span: &LogSpan) -> bool {
    span.vote.is_none() && span.last.is_none()
}

async fn run<L, M>(node_id: NodeId, log: L, machine: StateMachine<M>, opened: Opened) -> Result<RaftNode, StartError>
where
    L: RaftLogStorage<TypeConfig>,
    M: Machine,
{
    let engine = |e: &dyn std::fmt::Display| StartError::Engine(e.to_string());
    let config = config().map_err(|e| engine(&e))?;
    let raft = Raft::new(node_id, Arc::new(config), NoPeers, log, machine).await.map_err(|e| engine(&e))?;
    lead(&raft, node_id).await?;
    let meters = opened.meters;
    let inner = Inner {
        leadership: watch_leadership(&raft),
        snapshots: tokio::spawn(take_snapshots(raft.clone(), meters.clone())).abort_handle(),
        meters,
        store_was_empty: opened.empty,
        closed: tokio::sync::Mutex::new(opened.closed),
        data_dir: Mutex::new(opened.data_dir),
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
        if let Err(error @ (Fatal::StorageError(_) | Fatal::Panicked)) = &metrics.borrow().running_state {
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

async fn take_snapshots(raft: Raft, meters: Arc<Meters>) {
    loop {
        meters.snapshot_wanted().await;
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}

fn not_sent(error: Fatal<NodeId>) -> ProposeError {
    match error {
        Fatal::StorageError(_) | Fatal::Panicked => ProposeError::StorageFailed,
        Fatal::Stopped => ProposeError::ShuttingDown,
    }
}
