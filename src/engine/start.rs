//! Builds the parts of an engine, and starts its tasks.

use super::backup::Backups;
use super::cluster_clock::ClusterClock;
use super::command_queue::CommandQueue;
use super::digests::{DigestComparison, DigestLog, DigestVotes, take_digests};
use super::disk_space::DiskSpace;
use super::events::{EventLog, EventSource};
use super::members::{ClusterMembers, NodeHealth, watch_for_removal, watch_node_state};
use super::options::EngineOptions;
use super::parts::Parts;
use super::peer_service::{EngineService, RequestHandler};
use super::proposer::{Proposer, QueuedEntries, UnsettledCommands};
use super::reads::{ReadBarrier, TableReader};
use super::requests::Submitter;
use super::state_machine::StateMachine;
use super::table_host::TableHost;
use crate::base::clock::check_wall_clock;
use crate::base::histogram::{Histogram, WAIT_SECONDS};
use crate::base::random::random_u64;
use crate::domain::Incarnation;
use crate::raft::{Accept, NodeStartError, PeerOptions, RaftNode, RaftOptions, Store, TlsTransport, Transport};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

pub async fn start(options: EngineOptions) -> Result<Parts, NodeStartError> {
    let parts = Wiring::start(options).await?.parts();
    let ClusterMembers { raft, health, .. } = &*parts.members;
    if raft.has_no_peers() {
        raft.unless_disk_full(health.until_leading()).await;
    }
    Ok(parts)
}

/// The lowest parts, from which the others are built.
#[derive(Clone)]
pub struct Wiring {
    pub options: Arc<EngineOptions>,
    pub raft: RaftNode,
    pub host: Arc<TableHost>,
    pub events: Arc<EventLog>,
    pub digests: Arc<DigestLog>,
    pub clock: Arc<ClusterClock>,
    pub queue: Arc<CommandQueue>,
    pub health: Arc<NodeHealth>,
    pub members: Arc<ClusterMembers>,
    pub commit_time: Arc<Histogram>,
    service: Arc<EngineService>,
}

impl Wiring {
    pub async fn start(options: EngineOptions) -> Result<Wiring, NodeStartError> {
        // First: the time that the log takes to be read is part of the uptime.
        let clock = Arc::new(ClusterClock::start());
        let raft_options = raft_options(&options)?;
        let options = Arc::new(options);
        let host = Arc::new(TableHost::new(Incarnation(random_u64())));
        let events = Arc::new(EventLog::new(options.events));
        let compare_every = raft_options.peers.is_some().then_some(options.cluster.compare_every);
        let digests = Arc::new(DigestLog::new(compare_every));
        let machine = StateMachine { host: host.clone(), events: events.clone(), digests: digests.clone() };
        let service = Arc::new(EngineService::new(host.clone()));
        let raft = RaftNode::start(raft_options, machine, service.clone()).await?;
        host.requests.take_flushes_from(raft.last_flush());
        let queue = Arc::new(CommandQueue::new(options.storage.queue_commands_max));
        let health = Arc::new(NodeHealth::new(options.cluster.node_id, raft.clone(), clock.clone()));
        let members = Arc::new(ClusterMembers {
            options: options.clone(),
            raft: raft.clone(),
            host: host.clone(),
            queue: queue.clone(),
            clock: clock.clone(),
            health: health.clone(),
            liveness: Default::default(),
        });
        let commit_time = Arc::new(Histogram::default());
        Ok(Wiring { options, raft, host, events, digests, clock, queue, health, members, commit_time, service })
    }

    fn parts(self) -> Parts {
        let (members, digests, votes) = (self.members.clone(), self.digests.clone(), DigestVotes::default());
        let comparison = Arc::new(DigestComparison { members: members.clone(), digests, votes });
        let handler = Arc::new(RequestHandler { members, comparison: comparison.clone() });
        self.service.serve(&handler);
        let reader = self.reader();
        let disk_space = Arc::new(DiskSpace::new(self.raft.clone(), self.options.storage.min_free_bytes));
        let (stop, stopped) = watch::channel(false);
        let mut tasks = vec![
            tokio::spawn(self.proposer().run(stopped)),
            tokio::spawn(reader.barrier.clone().serve()),
            tokio::spawn(watch_node_state(self.members.clone(), self.events.clone())),
            tokio::spawn(watch_for_removal(self.members.clone())),
            tokio::spawn(self.events.clone().notify()),
            tokio::spawn(take_digests(self.digests.clone())),
            tokio::spawn(comparison.ask_leader()),
        ];
        if let Some(dir) = &self.options.data_dir {
            disk_space.check(dir);
            tasks.push(tokio::spawn(disk_space.clone().watch(dir.clone())));
        }
        let submitter = self.submitter(&reader, &disk_space);
        let Wiring { events, members, commit_time, .. } = self;
        Parts {
            event_source: Arc::new(EventSource { log: events.clone(), reader: reader.clone() }),
            backups: Backups::new(reader.clone()),
            submitter,
            members,
            reader,
            events,
            disk_space,
            commit_time,
            _handler: handler,
            stop,
            tasks: tasks.iter().map(JoinHandle::abort_handle).collect(),
        }
    }

    pub fn proposer(&self) -> Proposer {
        let Wiring { options, raft, host, events, digests, clock, queue, health, members, commit_time, .. } =
            self.clone();
        let standalone = raft.has_no_peers().then(|| Arc::new(self.queued_entries()));
        standalone.iter().for_each(|entries| raft.take_from(entries.clone()));
        Proposer {
            unsettled: UnsettledCommands::new(host.clone()),
            standalone,
            raft,
            host,
            queue,
            clock,
            health,
            members,
            events,
            digests,
            commit_time,
            bounds: options.storage.batch(),
            options,
            epoch: 0,
        }
    }

    fn queued_entries(&self) -> QueuedEntries {
        let Wiring { host, queue, clock, commit_time, options, .. } = self.clone();
        QueuedEntries::new(host, queue, clock, commit_time, options.storage.batch())
    }

    pub fn barrier(&self) -> Arc<ReadBarrier> {
        Arc::new(ReadBarrier::new(self.raft.clone(), self.clock.clone(), self.host.clone(), self.health.clone()))
    }

    pub fn reader(&self) -> Arc<TableReader> {
        let Wiring { options, raft, host, clock, health, .. } = self.clone();
        let (barrier, listings, blocking) = (self.barrier(), Semaphore::new(1), Handle::current());
        Arc::new(TableReader { options, raft, host, clock, health, barrier, listings, blocking })
    }

    fn submitter(&self, reader: &Arc<TableReader>, disk_space: &Arc<DiskSpace>) -> Submitter {
        let Wiring { options, raft, host, queue, clock, health, .. } = self.clone();
        let (reader, disk_space) = (reader.clone(), disk_space.clone());
        let wait_time = Histogram::new(WAIT_SECONDS);
        Submitter { options, raft, host, queue, clock, health, reader, disk_space, wait_time }
    }
}

fn raft_options(options: &EngineOptions) -> Result<RaftOptions, NodeStartError> {
    let (cluster, storage) = (&options.cluster, &options.storage);
    let store = match (&options.store, &options.data_dir) {
        (Some(store), _) => Store::Stable(store.clone()),
        (None, None) => Store::Memory,
        (None, Some(dir)) => Store::Disk { dir: dir.clone(), fsync: storage.fsync },
    };
    Ok(RaftOptions {
        node_id: cluster.node_id,
        store,
        snapshot_log_bytes: storage.snapshot_log_bytes,
        heartbeat: cluster.heartbeat,
        election_min: cluster.election_min,
        election_max: cluster.election_max,
        peers: peer_options(options)?,
        may_begin: check_wall_clock(storage.trust_clock),
        accept: Accept { empty: storage.accept_empty, lost_end: storage.accept_lost_end },
    })
}

/// The way to other nodes, listening already. `None` for a node that runs alone.
fn peer_options(options: &EngineOptions) -> Result<Option<PeerOptions>, NodeStartError> {
    let cluster = &options.cluster;
    let transport: Arc<dyn Transport> = match (&options.transport, cluster.listen(), cluster.tls()) {
        (Some(transport), _, _) => transport.clone(),
        (None, Some(listen), Some(files)) => Arc::new(TlsTransport::bind(listen, files)?),
        (None, _, _) => return Ok(None),
    };
    let advertise = cluster.advertise().map(ToString::to_string).unwrap_or_default();
    Ok(Some(PeerOptions { advertise, initial: cluster.peer_urls(), transport }))
}
