//! One node in memory, without an engine: what the parts are tested on.

use super::answer::AnswerReceiver;
use super::cluster_clock::ClusterClock;
use super::command_queue::{BatchBounds, CommandQueue};
use super::digests::DigestLog;
use super::events::{EventLog, EventOptions};
use super::members::{ClusterMembers, MemberTimeouts, NodeHealth};
use super::peer_service::EngineService;
use super::proposer::{Proposer, QueuedEntries, UnsettledCommands};
use super::reads::{ReadBarrier, TableReader};
use super::state_machine::StateMachine;
use super::table_host::TableHost;
use crate::base::histogram::Histogram;
use crate::domain::{Caller, Command, Incarnation, Limits, SessionId};
use crate::raft::{Accept, RaftNode, RaftOptions, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Bounds on events and subscriptions, for a log that no API serves.
pub fn event_options(buffer_events_max: usize, readers_max: usize) -> EventOptions {
    let never = Duration::from_secs(3600);
    EventOptions { buffer_events_max, readers_max, heartbeat: never, slow_reader_after: never }
}

const BOUNDS: BatchBounds = BatchBounds { commands_max: 10, bytes_max: 1 << 20 };

pub struct TestNode {
    pub raft: RaftNode,
    pub host: Arc<TableHost>,
    pub events: Arc<EventLog>,
    pub digests: Arc<DigestLog>,
    pub queue: Arc<CommandQueue>,
    pub clock: Arc<ClusterClock>,
    pub health: Arc<NodeHealth>,
}

impl TestNode {
    /// Returns when the node leads itself.
    pub async fn start() -> TestNode {
        let host = Arc::new(TableHost::new(Incarnation(7)));
        let events = Arc::new(EventLog::new(event_options(1_000, 10)));
        let digests = Arc::new(DigestLog::new(None));
        let machine = StateMachine { host: host.clone(), events: events.clone(), digests: digests.clone() };
        let service = Arc::new(EngineService::new(host.clone()));
        let raft = RaftNode::start(raft_options(), machine, service).await.expect("a node");
        raft.leadership().wait_for(|leadership| leadership.is_leader).await.expect("a leadership");
        let clock = Arc::new(ClusterClock::start());
        let health = Arc::new(NodeHealth::new(1, raft.clone(), clock.clone()));
        TestNode { raft, host, events, digests, queue: Arc::new(CommandQueue::new(100)), clock, health }
    }

    pub fn members(&self) -> ClusterMembers {
        ClusterMembers::new(
            self.raft.clone(),
            self.host.clone(),
            self.queue.clone(),
            self.clock.clone(),
            self.health.clone(),
            MemberTimeouts { no_quorum_after: Duration::from_secs(2), node_down_after: Duration::from_secs(2) },
            BTreeMap::new(),
        )
    }

    pub fn proposer(&self) -> Proposer {
        let entries = QueuedEntries::new(
            self.host.clone(),
            self.queue.clone(),
            self.clock.clone(),
            Arc::new(Histogram::of_durations()),
            BOUNDS,
        );
        let standalone = Arc::new(entries);
        self.raft.take_from(standalone.clone());
        Proposer {
            standalone: Some(standalone),
            raft: self.raft.clone(),
            host: self.host.clone(),
            queue: self.queue.clone(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            members: Arc::new(self.members()),
            events: self.events.clone(),
            digests: self.digests.clone(),
            commit_time: Arc::new(Histogram::of_durations()),
            limits: Limits { sessions_max: 10, ..Limits::default() },
            bounds: BOUNDS,
            no_quorum_after: Duration::from_secs(2),
            outcome_wait: Duration::from_secs(5),
            unsettled: UnsettledCommands::new(self.host.clone()),
            epoch: 0,
        }
    }

    pub fn barrier(&self) -> Arc<ReadBarrier> {
        Arc::new(ReadBarrier::new(self.raft.clone(), self.clock.clone(), self.health.clone()))
    }

    pub fn reader(&self) -> Arc<TableReader> {
        let (raft, host, clock) = (self.raft.clone(), self.host.clone(), self.clock.clone());
        Arc::new(TableReader::new(raft, host, clock, self.health.clone(), self.barrier(), Duration::from_secs(2)))
    }

    pub fn submit(&self, session: u8) -> AnswerReceiver {
        self.queue.submit(open_session(session)).expect("room")
    }
}

pub fn open_session(number: u8) -> Command {
    Command::OpenSession {
        session: SessionId([number; 16]),
        idle_timeout_ms: 60_000,
        idempotency_key: None,
        caller: Caller::NOBODY,
    }
}

/// A node that runs alone, in memory.
fn raft_options() -> RaftOptions {
    RaftOptions {
        node_id: 1,
        store: Store::Memory,
        snapshot_log_bytes: 8 << 20,
        heartbeat: Duration::from_millis(100),
        election_min: Duration::from_millis(250),
        election_max: Duration::from_millis(400),
        peers: None,
        may_begin: Ok(()),
        accept: Accept::default(),
    }
}
