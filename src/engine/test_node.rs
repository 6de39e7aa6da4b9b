//! One node in memory, whose tasks do not run: what the parts are tested on.

use super::cluster_options::ClusterOptions;
use super::command_queue::AnswerReceiver;
use super::events::EventOptions;
use super::options::{EngineOptions, StorageOptions};
use super::start::Wiring;
use crate::domain::{Caller, Command, Dialect, EndReason, Event, Limits, SessionId, Timestamp, Token};
use std::path::PathBuf;
use std::time::Duration;

/// Bounds on events and subscriptions, for a log that no API serves.
pub fn event_options(buffer_events_max: usize, readers_max: usize) -> EventOptions {
    let never = Duration::from_secs(3600);
    EventOptions { buffer_events_max, readers_max, heartbeat: never, slow_reader_after: never }
}

pub struct TestNode;

impl TestNode {
    /// Returns when the node leads itself.
    pub async fn start() -> Wiring {
        let node = Wiring::start(options()).await.expect("a node");
        node.raft.leadership().wait_for(|leadership| leadership.is_leader).await.expect("a leadership");
        node
    }
}

impl Wiring {
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

pub fn released(name: &str, token: u64, dialect: Dialect) -> Event {
    Event::HoldEnded {
        name: name.into(),
        token: Token(token),
        why: EndReason::Released,
        session: None,
        dialect,
        since: Timestamp(1),
        deadline: Some(Timestamp(9)),
    }
}

/// A node that runs alone, in memory.
fn options() -> EngineOptions {
    let storage = StorageOptions {
        fsync: false,
        min_free_bytes: 0,
        snapshot_log_bytes: 8 << 20,
        batch_commands_max: 10,
        batch_bytes_max: 1 << 20,
        queue_commands_max: 100,
        trust_clock: true,
        accept_empty: false,
        accept_lost_end: false,
    };
    let cluster = ClusterOptions {
        node_id: 1,
        peer_listen: None,
        advertise: None,
        peers: Vec::new(),
        peer_ca: PathBuf::new(),
        peer_cert: PathBuf::new(),
        peer_key: PathBuf::new(),
        heartbeat: Duration::from_millis(100),
        election_min: Duration::from_millis(250),
        election_max: Duration::from_millis(400),
        no_quorum_after: Duration::from_secs(2),
        outcome_wait: Duration::from_secs(5),
        node_down_after: Duration::from_secs(2),
        compare_every: Duration::from_secs(10),
    };
    EngineOptions {
        data_dir: None,
        storage,
        limits: Limits { sessions_max: 10, ..Limits::default() },
        session_idle_timeout: Duration::from_secs(60),
        events: event_options(1_000, 10),
        cluster,
        drain: crate::base::Drain::default(),
        transport: None,
        store: None,
    }
}
