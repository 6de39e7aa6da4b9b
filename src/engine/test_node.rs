//! One node in memory, whose tasks do not run: what the parts are tested on.

use super::command_queue::AnswerReceiver;
use super::events::EventOptions;
use super::options::{EngineOptions, StorageOptions};
use super::start::Wiring;
use crate::domain::{Caller, Command, Dialect, EndReason, Event, Limits, SessionId, Timestamp, Token};
use serde::de::DeserializeOwned;
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
        is_election: false,
    }
}

/// A node that runs alone, in memory, with the defaults.
fn options() -> EngineOptions {
    EngineOptions {
        data_dir: None,
        storage: StorageOptions { trust_clock: true, ..defaults("storage") },
        limits: Limits { sessions_max: 10, ..Limits::default() },
        quotas: None,
        session_idle_timeout: Duration::from_secs(60),
        events: event_options(1_000, 10),
        cluster: defaults("cluster"),
        drain: crate::base::Drain::default(),
        pace: None,
        transport: None,
        store: None,
    }
}

/// A section of `config.toml`.
fn defaults<T: DeserializeOwned>(section: &str) -> T {
    let document: toml::Table = include_str!("../../config.toml").parse().expect("TOML");
    document[section].clone().try_into().expect(section)
}
