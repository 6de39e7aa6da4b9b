//! Subscribing to the events of an engine.

use std::time::Duration;

use latchd::engine::Engine;
use latchd::engine::events::{
    CurrentState, EventFilter, EventId, GapReason, LockEvent, NameFilter, PublishedEvent, Subscription, Update,
};

use crate::raft::network::SOON;

pub fn everything() -> EventFilter {
    EventFilter { names: NameFilter::Under(vec![String::new()]), sessions: true }
}

pub fn read(engine: &Engine, wanted: EventFilter, after: Option<EventId>) -> Subscription {
    engine.subscribe(wanted, after, false).expect("a place")
}

/// The next update, without those that only move the place.
pub async fn step(reader: &mut Subscription) -> Update {
    let step = async {
        loop {
            match reader.next().await {
                Update::Passed(_) => {}
                step => return step,
            }
        }
    };
    tokio::time::timeout(SOON, step).await.expect("told in time")
}

/// A subscription that has begun.
pub async fn begun(engine: &Engine, wanted: EventFilter, after: Option<EventId>) -> (Subscription, EventId) {
    let mut reader = read(engine, wanted, after);
    match step(&mut reader).await {
        Update::Begun(id) => (reader, id),
        other => panic!("not begun: {other:?}"),
    }
}

/// The next `count` events.
pub async fn next(reader: &mut Subscription, count: usize) -> Vec<PublishedEvent> {
    let mut all = Vec::new();
    while all.len() < count {
        match step(reader).await {
            Update::Events(events, _) => all.extend(events),
            other => panic!("not events: {other:?} after {all:?}"),
        }
    }
    assert_eq!(all.len(), count, "{all:?}");
    all
}

/// The gap that comes next.
pub async fn gap(reader: &mut Subscription) -> (GapReason, CurrentState) {
    match step(reader).await {
        Update::Gap(why, state) => (why, state),
        other => panic!("no gap: {other:?}"),
    }
}

/// Checks that nothing comes for a moment.
pub async fn silent(reader: &mut Subscription) {
    let told = tokio::time::timeout(Duration::from_millis(100), reader.next()).await;
    assert!(matches!(told, Err(_) | Ok(Update::Passed(_))), "{told:?}");
}

/// The events in short: `granted a`, `released a`, `session ended`.
pub fn said(events: &[PublishedEvent]) -> Vec<String> {
    let say = |event: &PublishedEvent| match &event.event {
        LockEvent::Granted { name, .. } => format!("granted {name}"),
        LockEvent::ValueChanged { name, value, .. } => format!("value {value} {name}"),
        LockEvent::HoldEnded { name, why, .. } => format!("{why:?} {name}").to_lowercase(),
        LockEvent::Frozen { target, .. } => format!("frozen {target}"),
        LockEvent::Thawed { target, why, .. } => format!("{why:?} {target}").to_lowercase(),
        LockEvent::SessionEnded { idle, .. } => format!("session {}", if *idle { "idle" } else { "closed" }),
    };
    events.iter().map(say).collect()
}
