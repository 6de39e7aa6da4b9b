//! Brings the engine up on a log, and down again.

use super::cluster::service::Service;
use super::cluster::{ClusterOptions, reads, removal};
use super::cluster_clock::ClusterClock;
use super::command_queue::{BatchBounds, CommandQueue};
use super::compare::{Comparing, ask_leader, take_digests};
use super::core::{Core, follow_standing};
use super::disk_space::Space;
use super::driver::Driver;
use super::ending::Ending;
use super::error::EngineError;
use super::events::{EventLog, EventOptions};
use super::face::{Consistency, Engine, Inner};
use super::state_machine::StateMachine;
use super::table_host::TableHost;
use crate::base::random::random_u64;
use crate::base::wall_clock::check_wall_clock;
use crate::domain::{Incarnation, Limits};
use crate::raft::{Accept, NodeStartError, PeerOptions, RaftNode, RaftOptions, Store, TlsTransport, Transport};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

/// Another node needs its election: some hundred milliseconds. After this the node ends all the same.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(2);

pub struct EngineOptions {
    /// `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// False only to show that a power loss is noticed.
    pub fsync: bool,
    pub snapshot_log_bytes: u64,
    /// Below this, new holds and sessions are refused.
    pub min_free_bytes: u64,
    pub limits: Limits,
    pub session_idle_timeout: Duration,
    pub batch: BatchBounds,
    pub queue_commands_max: usize,
    /// A new table begins by the wall clock, whatever that reads.
    pub trust_clock: bool,
    pub accept: Accept,
    pub events: EventOptions,
    pub cluster: ClusterOptions,
}

impl Engine {
    /// Returns, on a node that runs alone, when it leads and everything that was ever answered is back. In a cluster it
    /// returns at once: the others may be started later.
    pub async fn start(options: EngineOptions) -> Result<Engine, NodeStartError> {
        let incarnation = Incarnation(random_u64());
        let queue = Arc::new(CommandQueue::new(options.queue_commands_max));
        let events = Arc::new(EventLog::new(options.events));
        let raft_options = raft_options(&options)?;
        let in_cluster = raft_options.peers.is_some();
        let comparing = Arc::new(Comparing::new(in_cluster.then_some(options.cluster.compare_every)));
        let host = Arc::new(TableHost::new(incarnation));
        let service = Arc::new(Service::new(host.clone()));
        let machine = StateMachine { host: host.clone(), events: events.clone(), comparing: comparing.clone() };
        let raft = RaftNode::start(raft_options, machine, service.clone()).await?;
        let core = Arc::new(Core {
            clock: Arc::new(ClusterClock::start()),
            host,
            queue,
            events,
            comparing,
            timings: Default::default(),
            raft,
            incarnation,
            cluster: options.cluster,
            leads: watch::Sender::new(false),
            heard: Default::default(),
            reads: Default::default(),
            wiped: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            ballots: Default::default(),
            differs: AtomicBool::new(false),
            contact_ms: Default::default(),
        });
        service.serve(&core);
        let (stop, stopped) = watch::channel(false);
        let driver = Driver {
            core: core.clone(),
            limits: options.limits,
            bounds: options.batch,
            sequence: 0,
            epoch: 0,
            unsettled: VecDeque::new(),
        };
        let mut leads = core.leads.subscribe();
        let driver = tokio::spawn(driver.run(stopped.clone()));
        let reads = tokio::spawn(reads::serve(Arc::downgrade(&core)));
        let standing = tokio::spawn(follow_standing(Arc::downgrade(&core), core.raft.state()));
        let membership = tokio::spawn(removal::watch(Arc::downgrade(&core)));
        let bell = tokio::spawn(core.events.bell().ring());
        let digests = tokio::spawn(take_digests(core.comparing.clone()));
        let asking = tokio::spawn(ask_leader(Arc::downgrade(&core)));
        let disk_nearly_full = Arc::new(AtomicBool::new(false));
        if let Some(dir) = options.data_dir {
            let (min_free_bytes, nearly_full) = (options.min_free_bytes, disk_nearly_full.clone());
            Space { dir, min_free_bytes, nearly_full }.begin(&core, stopped);
        }
        if !in_cluster {
            core.raft.unless_disk_full(leads.wait_for(|leads| *leads)).await;
        }
        let tasks = [driver, reads, standing, membership, bell, digests, asking];
        let inner = Inner {
            core,
            stop,
            tasks: tasks.iter().map(JoinHandle::abort_handle).collect(),
            limits: options.limits,
            session_idle_timeout: options.session_idle_timeout,
            ending: Ending::default(),
            disk_nearly_full,
            min_free_bytes: options.min_free_bytes,
            listings: tokio::sync::Semaphore::new(1),
            backups: Arc::new(tokio::sync::Semaphore::new(1)),
        };
        Ok(Engine(Arc::new(inner), Consistency::Linearizable))
    }

    /// Says that this node is not ready, to whoever asks; everything is served as before.
    pub fn leave(&self) {
        self.0.ending.announce();
    }

    /// Ends every wait with an answer and refuses new holds; releases and renewals still pass.
    pub fn drain(&self) {
        self.0.ending.begin();
        self.0.core.host.requests.drain();
        self.0.core.events.end();
    }

    /// Where this node leads others, has the most advanced of them take over. What comes meanwhile waits for that one.
    /// Returns whether there are others.
    pub async fn hand_over(&self) -> bool {
        let core = &self.0.core;
        if core.is_alone() || !core.leads() {
            return !core.is_alone();
        }
        core.queue.request_transfer();
        let mut leadership = core.raft.leadership();
        let taken = leadership.wait_for(|now| !now.is_leader && now.leader.is_some());
        drop(tokio::time::timeout(HAND_OVER_WITHIN, taken).await);
        true
    }

    /// Stops the log. Nothing is answered afterwards.
    pub async fn stop(&self) {
        self.0.core.queue.close(EngineError::ShuttingDown);
        self.0.core.events.end();
        self.0.stop.send_replace(true);
        self.0.core.raft.shutdown().await;
        self.0.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// The way to other nodes; bound already. `None` for a node that runs alone.
fn peers(cluster: &ClusterOptions) -> Result<Option<PeerOptions>, NodeStartError> {
    let transport: Arc<dyn Transport> = match (&cluster.transport, cluster.listen, &cluster.tls) {
        (Some(transport), _, _) => transport.clone(),
        (None, Some(listen), Some(files)) => Arc::new(TlsTransport::bind(listen, files.clone())?),
        (None, _, _) => return Ok(None),
    };
    let (advertise, initial) = (cluster.advertise.clone(), cluster.peers.clone());
    Ok(Some(PeerOptions { advertise, initial, transport }))
}

fn raft_options(options: &EngineOptions) -> Result<RaftOptions, NodeStartError> {
    let cluster = &options.cluster;
    let store = match (&cluster.store, &options.data_dir) {
        (Some(store), _) => Store::Stable(store.clone()),
        (None, None) => Store::Memory,
        (None, Some(dir)) => Store::Disk { dir: dir.clone(), fsync: options.fsync },
    };
    Ok(RaftOptions {
        snapshot_log_bytes: options.snapshot_log_bytes,
        heartbeat: cluster.heartbeat,
        election_min: cluster.election_min,
        election_max: cluster.election_max,
        peers: peers(cluster)?,
        may_begin: check_wall_clock(options.trust_clock),
        accept: options.accept,
        ..RaftOptions::new(cluster.node_id, store)
    })
}
