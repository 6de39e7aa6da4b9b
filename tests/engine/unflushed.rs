//! A node alone shows nothing that is not on disk: not in an answer, not in a read, not in an event, not in a backup.

use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use latchd::domain::Name;
use latchd::engine::{Engine, EngineOptions};
use tokio::task::JoinHandle;

use super::events_kit::{begun, everything, next, said};
use super::service::{ask, hold, options};
use crate::simulation::disk::SimulatedDisk;

const SYNC: Duration = Duration::from_millis(300);

async fn on_slow_disk() -> Engine {
    let mut options: EngineOptions = options(None);
    options.store = Some(Arc::new(SimulatedDisk::new(SYNC)));
    Engine::start(options).await.expect("a node alone")
}

fn lock() -> Name {
    ArcStr::from("a")
}

/// An acquire whose entry is written, and not on disk.
async fn begin_flush(engine: &Engine) -> JoinHandle<u64> {
    let engine = engine.clone();
    let acquire = tokio::spawn(async move { hold(&engine, ask("a")).await.expect("granted").1 });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    acquire
}

#[tokio::test(start_paused = true)]
async fn reads_show_a_grant_only_after_its_flush() {
    let engine = on_slow_disk().await;
    let acquire = begin_flush(&engine).await;
    assert!(engine.local_lock(&lock()).is_none(), "a local read shows it");
    let seen = engine.lock(&lock()).now_or_never();
    assert!(seen.is_none_or(|seen| seen.expect("a node that leads").0.is_none()), "a linearizable read shows it");
    let token = acquire.await.expect("no panic");
    let (seen, _) = engine.lock(&lock()).await.expect("a node that leads");
    assert_eq!(seen.expect("the lock").holds.first().map(|hold| hold.token.0), Some(token));
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn readers_get_an_event_only_after_its_flush() {
    let engine = on_slow_disk().await;
    let (mut reader, _) = begun(&engine, everything(), None).await;
    let acquire = begin_flush(&engine).await;
    for _ in 0..100 {
        assert!(reader.next().now_or_never().is_none(), "the event is out");
        tokio::task::yield_now().await;
    }
    acquire.await.expect("no panic");
    assert_eq!(said(&next(&mut reader, 1).await), ["granted a"]);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn state_is_frozen_without_what_is_not_flushed() {
    let engine = on_slow_disk().await;
    let before = engine.state_digest();
    let acquire = begin_flush(&engine).await;
    assert_eq!(engine.state_digest(), before, "a snapshot would be ahead of the log");
    acquire.await.expect("no panic");
    assert!(engine.state_digest().0 > before.0);
    engine.stop().await;
}
