//! Reading the events of an engine.

use std::time::Duration;

use latchd::engine::Engine;
use latchd::engine::events::{EventId, Happened, Names, Published, Reader, State, Step, Wanted, Why};

use crate::raft::switchboard::SOON;

pub fn everything() -> Wanted {
    Wanted { names: Names::Under(vec![String::new()]), sessions: true }
}

pub fn read(engine: &Engine, wanted: Wanted, after: Option<EventId>) -> Reader {
    engine.read_events(wanted, after, false).expect("a place")
}

/// What comes next, what is not wanted aside.
pub async fn step(reader: &mut Reader) -> Step {
    let step = async {
        loop {
            match reader.next().await {
                Step::Passed(_) => {}
                step => return step,
            }
        }
    };
    tokio::time::timeout(SOON, step).await.expect("told in time")
}

/// A reader that has begun.
pub async fn begun(engine: &Engine, wanted: Wanted, after: Option<EventId>) -> (Reader, EventId) {
    let mut reader = read(engine, wanted, after);
    match step(&mut reader).await {
        Step::Begun(id) => (reader, id),
        other => panic!("not begun: {other:?}"),
    }
}

/// The next events, as many as asked for.
pub async fn next(reader: &mut Reader, count: usize) -> Vec<Published> {
    let mut all = Vec::new();
    while all.len() < count {
        match step(reader).await {
            Step::Happened(events, _) => all.extend(events),
            other => panic!("not events: {other:?} after {all:?}"),
        }
    }
    assert_eq!(all.len(), count, "{all:?}");
    all
}

/// The gap that a reader is told of.
pub async fn gap(reader: &mut Reader) -> (Why, State) {
    match step(reader).await {
        Step::Gap(why, state) => (why, state),
        other => panic!("no gap: {other:?}"),
    }
}

/// Nothing is told for a moment.
pub async fn silent(reader: &mut Reader) {
    let told = tokio::time::timeout(Duration::from_millis(100), reader.next()).await;
    assert!(matches!(told, Err(_) | Ok(Step::Passed(_))), "{told:?}");
}

/// In few words: `granted a`, `released a`, `session ended`.
pub fn said(events: &[Published]) -> Vec<String> {
    let say = |event: &Published| match &event.what {
        Happened::Granted { name, .. } => format!("granted {name}"),
        Happened::Ended { name, why, .. } => format!("{why:?} {name}").to_lowercase(),
        Happened::SessionEnded { idle, .. } => format!("session {}", if *idle { "idle" } else { "closed" }),
    };
    events.iter().map(say).collect()
}
