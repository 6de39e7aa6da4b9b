//! Builds the parts of an engine, and starts its tasks.

use super::backup::Backups;
use super::cluster_clock::ClusterClock;
use super::command_queue::CommandQueue;
use super::digests::{DigestComparison, DigestLog, DigestVotes, take_digests};
use super::disk_space::DiskSpace;
use super::events::{EventLog, EventSource};
use super::members::{ClusterMembers, MemberTimeouts, NodeHealth, watch_for_removal};
use super::node_state::NodeStateWatch;
use super::options::{ClusterOptions, EngineOptions};
use super::parts::Parts;
use super::peer_service::{EngineService, RequestHandler};
use super::proposer::{Proposer, QueuedEntries, UnsettledCommands};
use super::reads::{ReadBarrier, TableReader};
use super::requests::Submitter;
use super::shutdown::Shutdown;
use super::state_machine::StateMachine;
use super::table_host::TableHost;
use crate::base::clock::check_wall_clock;
use crate::base::histogram::Histogram;
use crate::base::random::random_u64;
use crate::domain::Incarnation;
use crate::raft::{NodeStartError, PeerOptions, RaftNode, RaftOptions, Store, TlsTransport, Transport};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Returns, on a node that runs alone, when it leads and everything that was ever answered is back. In a cluster it returns
/// at once: the others may be started later.
pub async fn start(options: EngineOptions) -> Result<Parts, NodeStartError> {
    // First: the time that the log takes to be read is part of the uptime.
    let clock = Arc::new(ClusterClock::start());
    let raft_options = raft_options(&options)?;
    let in_cluster = raft_options.peers.is_some();
    let host = Arc::new(TableHost::new(Incarnation(random_u64())));
    let events = Arc::new(EventLog::new(options.events));
    let digests = Arc::new(DigestLog::new(in_cluster.then_some(options.cluster.compare_every)));
    let machine = StateMachine { host: host.clone(), events: events.clone(), digests: digests.clone() };
    let service = Arc::new(EngineService::new(host.clone()));
    let raft = RaftNode::start(raft_options, machine, service.clone()).await?;
    let queue = Arc::new(CommandQueue::new(options.storage.queue_commands_max));
    let health = Arc::new(NodeHealth::new(options.cluster.node_id, raft.clone(), clock.clone()));
    let parts = Wiring { options, raft, host, events, digests, clock, queue, health }.parts(&service);
    if !in_cluster {
        parts.raft.unless_disk_full(parts.health.until_leading()).await;
    }
    Ok(parts)
}

/// The lowest parts, from which the others are built.
struct Wiring {
    options: EngineOptions,
    raft: RaftNode,
    host: Arc<TableHost>,
    events: Arc<EventLog>,
    digests: Arc<DigestLog>,
    clock: Arc<ClusterClock>,
    queue: Arc<CommandQueue>,
    health: Arc<NodeHealth>,
}

impl Wiring {
    fn parts(self, service: &EngineService) -> Parts {
        let members = Arc::new(self.members());
        let comparison = Arc::new(self.comparison());
        let handler = Arc::new(self.handler(&members, &comparison));
        service.serve(&handler);
        let commit_time = Arc::new(Histogram::of_durations());
        let barrier = Arc::new(ReadBarrier::new(self.raft.clone(), self.clock.clone(), self.health.clone()));
        let reader = Arc::new(self.reader(&barrier));
        let disk_space = Arc::new(DiskSpace::new(self.raft.clone(), self.options.storage.min_free_bytes));
        let shutdown = Arc::new(Shutdown::default());
        let (stop, stopped) = watch::channel(false);
        let mut tasks = vec![
            tokio::spawn(self.proposer(&members, &commit_time).run(stopped)),
            tokio::spawn(barrier.serve()),
            tokio::spawn(self.node_state_watch().run(self.raft.state())),
            tokio::spawn(watch_for_removal(members.clone())),
            tokio::spawn(self.events.notifier().run()),
            tokio::spawn(take_digests(self.digests.clone())),
            tokio::spawn(comparison.ask_leader()),
        ];
        if let Some(dir) = &self.options.data_dir {
            disk_space.check(dir);
            tasks.push(tokio::spawn(disk_space.clone().watch(dir.clone())));
        }
        Parts {
            event_source: Arc::new(self.event_source(&reader)),
            submitter: self.submitter(&reader, &disk_space, &shutdown),
            backups: Backups::new(self.host.clone(), reader.clone()),
            raft: self.raft,
            host: self.host,
            queue: self.queue,
            clock: self.clock,
            health: self.health,
            members,
            reader,
            events: self.events,
            disk_space,
            shutdown,
            commit_time,
            _handler: handler,
            stop,
            tasks: tasks.iter().map(JoinHandle::abort_handle).collect(),
        }
    }

    fn members(&self) -> ClusterMembers {
        let cluster = &self.options.cluster;
        ClusterMembers::new(
            self.raft.clone(),
            self.host.clone(),
            self.queue.clone(),
            self.clock.clone(),
            self.health.clone(),
            MemberTimeouts { no_quorum_after: cluster.no_quorum_after, node_down_after: cluster.node_down_after },
            cluster.peers.clone(),
        )
    }

    fn comparison(&self) -> DigestComparison {
        DigestComparison {
            raft: self.raft.clone(),
            host: self.host.clone(),
            queue: self.queue.clone(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            digests: self.digests.clone(),
            votes: DigestVotes::default(),
        }
    }

    fn handler(&self, members: &Arc<ClusterMembers>, comparison: &Arc<DigestComparison>) -> RequestHandler {
        RequestHandler {
            raft: self.raft.clone(),
            host: self.host.clone(),
            queue: self.queue.clone(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            members: members.clone(),
            comparison: comparison.clone(),
        }
    }

    fn proposer(&self, members: &Arc<ClusterMembers>, commit_time: &Arc<Histogram>) -> Proposer {
        let standalone = self.raft.has_no_peers().then(|| Arc::new(self.queued_entries(commit_time)));
        standalone.iter().for_each(|entries| self.raft.take_from(entries.clone()));
        Proposer {
            standalone,
            raft: self.raft.clone(),
            unsettled: UnsettledCommands::new(self.host.clone()),
            host: self.host.clone(),
            queue: self.queue.clone(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            members: members.clone(),
            events: self.events.clone(),
            digests: self.digests.clone(),
            commit_time: commit_time.clone(),
            limits: self.options.limits,
            bounds: self.options.storage.batch(),
            no_quorum_after: self.options.cluster.no_quorum_after,
            outcome_wait: self.options.cluster.outcome_wait,
            epoch: 0,
        }
    }

    fn queued_entries(&self, commit_time: &Arc<Histogram>) -> QueuedEntries {
        let (host, queue, clock) = (self.host.clone(), self.queue.clone(), self.clock.clone());
        QueuedEntries::new(host, queue, clock, commit_time.clone(), self.options.storage.batch())
    }

    fn reader(&self, barrier: &Arc<ReadBarrier>) -> TableReader {
        TableReader::new(
            self.raft.clone(),
            self.host.clone(),
            self.clock.clone(),
            self.health.clone(),
            barrier.clone(),
            self.options.cluster.no_quorum_after,
        )
    }

    fn event_source(&self, reader: &Arc<TableReader>) -> EventSource {
        let (log, host) = (self.events.clone(), self.host.clone());
        EventSource { log, host, reader: reader.clone(), health: self.health.clone() }
    }

    fn submitter(&self, reader: &Arc<TableReader>, disk_space: &Arc<DiskSpace>, shutdown: &Arc<Shutdown>) -> Submitter {
        Submitter {
            raft: self.raft.clone(),
            host: self.host.clone(),
            queue: self.queue.clone(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            reader: reader.clone(),
            disk_space: disk_space.clone(),
            shutdown: shutdown.clone(),
            configured_limits: self.options.limits,
            session_idle_timeout: self.options.session_idle_timeout,
            wait_time: Histogram::of_waits(),
        }
    }

    fn node_state_watch(&self) -> NodeStateWatch {
        let (queue, host, events) = (self.queue.clone(), self.host.clone(), self.events.clone());
        NodeStateWatch { health: self.health.clone(), queue, host, events }
    }
}

fn raft_options(options: &EngineOptions) -> Result<RaftOptions, NodeStartError> {
    let cluster = &options.cluster;
    let store = match (&cluster.store, &options.data_dir) {
        (Some(store), _) => Store::Stable(store.clone()),
        (None, None) => Store::Memory,
        (None, Some(dir)) => Store::Disk { dir: dir.clone(), fsync: options.storage.fsync },
    };
    Ok(RaftOptions {
        node_id: cluster.node_id,
        store,
        snapshot_log_bytes: options.storage.snapshot_log_bytes,
        heartbeat: cluster.heartbeat,
        election_min: cluster.election_min,
        election_max: cluster.election_max,
        peers: peer_options(cluster)?,
        may_begin: check_wall_clock(options.storage.trust_clock),
        accept: options.storage.accept(),
    })
}

/// The way to other nodes, listening already. `None` for a node that runs alone.
fn peer_options(cluster: &ClusterOptions) -> Result<Option<PeerOptions>, NodeStartError> {
    let transport: Arc<dyn Transport> = match (&cluster.transport, cluster.listen, &cluster.tls) {
        (Some(transport), _, _) => transport.clone(),
        (None, Some(listen), Some(files)) => Arc::new(TlsTransport::bind(listen, files.clone())?),
        (None, _, _) => return Ok(None),
    };
    let (advertise, initial) = (cluster.advertise.clone(), cluster.peers.clone());
    Ok(Some(PeerOptions { advertise, initial, transport }))
}
