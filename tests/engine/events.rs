//! Subscriptions on one node: they get every event in order, under lasting ids, or a gap.

use arcstr::ArcStr;
use std::time::Duration;

use latchd::base::clock::set_wall_clock;
use latchd::domain::{Acquire, Caller, Force, Proof};
use latchd::engine::events::{EventFilter, EventId, EventOptions, GapReason, LockEvent, NameFilter, Update};
use latchd::engine::{Engine, EngineOptions};

use super::events_kit::{begun, everything, gap, next, read, said, silent, step};
use super::service::{ask, hold, options, start};

async fn take_and_give_back(engine: &Engine, name: &str) {
    let (key, _) = hold(engine, ask(name)).await.unwrap();
    engine.release(ArcStr::from(name), None, Proof::Key(key)).await.unwrap();
}

async fn keeping(buffer_events_max: usize) -> Engine {
    let events = EventOptions { buffer_events_max, ..options(None).events };
    Engine::start(EngineOptions { events, ..options(None) }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_event_is_published_in_order() {
    let idle = Duration::from_millis(100);
    let engine = Engine::start(EngineOptions { session_idle_timeout: idle, ..options(None) }).await.unwrap();
    let (mut reader, _) = begun(&engine, everything(), None).await;
    let (key, token) = hold(&engine, ask("a")).await.unwrap();
    engine.release(ArcStr::from("a"), None, Proof::Key(key)).await.unwrap();
    let (key, _) = hold(&engine, ask("b")).await.unwrap();
    engine.force_release(ArcStr::from("b"), key, Force::new("ops", "why")).await.unwrap();
    let events = next(&mut reader, 4).await;
    assert_eq!(said(&events), ["granted a", "released a", "granted b", "forced b"]);
    assert!(matches!(events[0].event, LockEvent::Granted { token: told, .. } if told.0 == token));
    assert!(events.is_sorted_by(|one, other| one.id < other.id), "{events:?}");

    hold(&engine, Acquire { lease_ms: Some(50), ..ask("c") }).await.unwrap();
    assert_eq!(said(&next(&mut reader, 2).await), ["granted c", "expired c"]);
    drop(engine.acquire(ask("d")).await.unwrap().delivery);
    assert_eq!(said(&next(&mut reader, 2).await), ["granted d", "cancelled d"]);
    let session = engine.open_session(None, Caller::NOBODY).await.unwrap();
    hold(&engine, Acquire { session: Some(session), ..ask("e") }).await.unwrap();
    let ends = ["granted e", "session idle", "sessionended e"];
    assert_eq!(said(&next(&mut reader, 3).await), ends);
    engine.stop().await;
    assert!(matches!(step(&mut reader).await, Update::Ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_acquire_of_an_owner_replaces_its_token() {
    let engine = start(None).await;
    let (mut reader, _) = begun(&engine, everything(), None).await;
    let again = || Acquire { label: Some(ArcStr::from("x")), reentrant: true, ..ask("a") };
    let (_, first) = hold(&engine, again()).await.unwrap();
    let (_, second) = hold(&engine, again()).await.unwrap();
    let told: Vec<_> = next(&mut reader, 2).await.into_iter().map(|event| event.event).collect();
    let tokens = |what: &LockEvent| match what {
        LockEvent::Granted { token, replaces, .. } => (token.0, replaces.map(|token| token.0)),
        other => panic!("{other:?}"),
    };
    assert_eq!(told.iter().map(tokens).collect::<Vec<_>>(), [(first, None), (second, Some(first))]);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscription_gets_only_events_that_match_its_filter() {
    let engine = start(None).await;
    let of = |names| EventFilter { names, sessions: false };
    let (mut one, _) = begun(&engine, of(NameFilter::One(ArcStr::from("b/1"))), None).await;
    let (mut under, _) = begun(&engine, of(NameFilter::Under(vec!["a".into(), "b/".into()])), None).await;
    for name in ["b", "b/1", "c", "b/12", "a"] {
        hold(&engine, ask(name)).await.unwrap();
    }
    let session = engine.open_session(None, Caller::NOBODY).await.unwrap();
    engine.close_session(session).await.unwrap();
    assert_eq!(said(&next(&mut one, 1).await), ["granted b/1"]);
    assert_eq!(said(&next(&mut under, 3).await), ["granted b/1", "granted b/12", "granted a"]);
    silent(&mut one).await;
    silent(&mut under).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscription_continues_from_any_event_that_is_kept() {
    let engine = start(None).await;
    let (mut reader, begin) = begun(&engine, everything(), None).await;
    for name in ["a", "b", "c"] {
        take_and_give_back(&engine, name).await;
    }
    let events = next(&mut reader, 6).await;
    for (at, event) in events.iter().enumerate().take(5) {
        let (mut again, _) = begun(&engine, everything(), Some(event.id)).await;
        assert_eq!(next(&mut again, 5 - at).await, events[at + 1..], "after {}", event.id);
    }
    let (mut whole, _) = begun(&engine, everything(), Some(begin)).await;
    assert_eq!(next(&mut whole, 6).await, events);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_events_are_a_gap_with_the_current_state() {
    let engine = keeping(4).await;
    let (mut slow, _) = begun(&engine, everything(), None).await;
    hold(&engine, ask("held")).await.unwrap();
    for _ in 0..3 {
        take_and_give_back(&engine, "a").await;
    }
    let (why, state) = gap(&mut slow).await;
    assert_eq!(why, GapReason::TooOld);
    let names: Vec<&str> = state.locks.iter().map(|lock| &*lock.name).collect();
    assert_eq!((names, state.more), (vec!["held"], false));
    assert_eq!(state.locks[0].holds.len(), 1);
    silent(&mut slow).await;
    take_and_give_back(&engine, "b").await;
    let events = next(&mut slow, 2).await;
    assert_eq!(said(&events), ["granted b", "released b"]);
    assert!(events[0].id > state.id, "events before the state do not follow it");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn id_of_no_event_is_a_gap() {
    let engine = start(None).await;
    let (_, begin) = begun(&engine, everything(), None).await;
    hold(&engine, ask("a")).await.unwrap();
    let far = EventId { index: begin.index + 1_000, position: 1, ..begin };
    let between = EventId { position: 7, ..begin };
    for place in [far, between] {
        let (why, state) = gap(&mut read(&engine, everything(), Some(place))).await;
        assert_eq!((why, state.locks.len()), (GapReason::UnknownId, 1), "{place}");
    }
    let before = EventId { index: 17, position: 0, ..begin };
    let (why, _) = gap(&mut read(&engine, everything(), Some(before))).await;
    assert_eq!(why, GapReason::TooOld, "a service without a disk begins after every earlier run");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_ids_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(Some(dir.path())).await;
    let (mut reader, begin) = begun(&engine, everything(), None).await;
    for name in ["a", "b"] {
        take_and_give_back(&engine, name).await;
    }
    hold(&engine, ask("c")).await.unwrap();
    let before = next(&mut reader, 5).await;
    engine.stop().await;
    drop((reader, engine));
    let engine = start(Some(dir.path())).await;
    let (mut whole, _) = begun(&engine, everything(), Some(begin)).await;
    assert_eq!(next(&mut whole, 5).await, before);
    let (mut rest, _) = begun(&engine, everything(), Some(before[2].id)).await;
    assert_eq!(next(&mut rest, 2).await, before[3..]);
    take_and_give_back(&engine, "d").await;
    assert_eq!(said(&next(&mut rest, 2).await), ["granted d", "released d"]);
    engine.stop().await;
}

/// On one thread, whose wall clock stands still or is set back.
#[tokio::test]
async fn event_ids_of_lost_data_are_unknown_to_the_next_table() {
    for next in [1_800_000_000, 1_800_000_001, 1_799_990_000] {
        no_id_fits_into_the_service_that_begins_at(next).await;
    }
}

async fn no_id_fits_into_the_service_that_begins_at(unix_seconds: u64) {
    set_wall_clock(Box::new(|| Duration::from_secs(1_800_000_000)));
    let lost = tempfile::tempdir().unwrap();
    let engine = start(Some(lost.path())).await;
    let (mut reader, begin) = begun(&engine, everything(), None).await;
    take_and_give_back(&engine, "a").await;
    let told = next(&mut reader, 2).await;
    engine.stop().await;
    drop((reader, engine, lost));
    set_wall_clock(Box::new(move || Duration::from_secs(unix_seconds)));
    let dir = tempfile::tempdir().unwrap();
    let engine = start(Some(dir.path())).await;
    for _ in 0..10 {
        take_and_give_back(&engine, "b").await;
    }
    let small = EventId { index: 3, position: 0, ..begin };
    let older = EventId { table_id: 0, ..told[0].id };
    for place in [begin, told[0].id, told[1].id, small, older] {
        assert_eq!(gap(&mut read(&engine, everything(), Some(place))).await.0, GapReason::UnknownId, "{place}");
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_before_the_snapshot_of_a_restart_are_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let small = || {
        let mut options = options(Some(dir.path()));
        options.storage.snapshot_log_bytes = 2_000;
        options
    };
    let engine = Engine::start(small()).await.unwrap();
    let (_, begin) = begun(&engine, everything(), None).await;
    hold(&engine, ask("held")).await.unwrap();
    while engine.overview().log.snapshot_index < 10 {
        take_and_give_back(&engine, "a").await;
    }
    engine.stop().await;
    drop(engine);
    let engine = Engine::start(small()).await.unwrap();
    let (why, state) = gap(&mut read(&engine, everything(), Some(begin))).await;
    assert_eq!((why, state.locks.len()), (GapReason::Snapshot, 1));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requested_state_and_later_events_miss_nothing() {
    let engine = start(None).await;
    let writer = tokio::spawn({
        let engine = engine.clone();
        async move {
            for n in 0..300 {
                hold(&engine, ask(&format!("n/{n:03}"))).await.unwrap();
            }
        }
    });
    while !writer.is_finished() {
        let mut reader = engine.subscribe(everything(), None, true).expect("a place");
        let Update::State(state) = step(&mut reader).await else { panic!("no state") };
        if state.locks.len() < 300 {
            let first = &next_any(&mut reader).await[0];
            assert_eq!(*first, format!("granted n/{:03}", state.locks.len()), "the first event after the state");
        }
    }
    writer.await.unwrap();
    engine.stop().await;
}

async fn next_any(reader: &mut latchd::engine::events::Subscription) -> Vec<String> {
    match step(reader).await {
        Update::Events(events, _) => said(&events),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_are_bounded_and_free_their_slots() {
    let events = EventOptions { readers_max: 2, ..options(None).events };
    let engine = Engine::start(EngineOptions { events, ..options(None) }).await.unwrap();
    let (first, _) = begun(&engine, everything(), None).await;
    let (_second, _) = begun(&engine, everything(), None).await;
    assert_eq!(engine.subscribe(everything(), None, false).err().map(|full| full.limit), Some(2));
    assert_eq!(engine.overview().event_readers, 2, "a refused subscription does not count");
    drop(first);
    assert_eq!(engine.overview().event_readers, 1);
    begun(&engine, everything(), None).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_engine_ends_its_subscriptions() {
    let engine = start(None).await;
    let (mut reader, _) = begun(&engine, everything(), None).await;
    drop(engine);
    assert!(matches!(step(&mut reader).await, Update::Ended));
}
