//! The engine through its facade: grants, waits, expiry, sessions, drain, restart.

use crate::domain::kit::limits;
use crate::raft::network::address;
use arcstr::ArcStr;
use latchd::config::{Config, ListenUrl};
use latchd::domain::view::LockFilter;
use latchd::domain::{Acquire, Caller, Dialect, Proof, Refusal, SessionId, Wait};
use latchd::engine::cluster_options::Peer;
use latchd::engine::{Engine, EngineError, EngineOptions, Fault, Granted, StorageOptions};
use latchd::server::compose::engine_options;
use std::path::Path;
use std::time::Duration;

/// The defaults, in memory or in a directory, without limits that depend on the machine or on who asks.
pub fn options(data_dir: Option<&Path>) -> EngineOptions {
    let defaults = engine_options(&Config::default(), Default::default());
    let storage = StorageOptions { min_free_bytes: 0, ..defaults.storage.clone() };
    EngineOptions { data_dir: data_dir.map(Path::to_path_buf), storage, limits: limits(), ..defaults }
}

/// Nodes that form a cluster, at the addresses that they have on a network in memory.
pub fn peers(nodes: &[u64]) -> Vec<Peer> {
    nodes.iter().map(|node| Peer { node: *node, url: ListenUrl::parse(&address(*node)).expect("a URL") }).collect()
}

pub async fn start(data_dir: Option<&Path>) -> Engine {
    Engine::start(options(data_dir)).await.expect("the engine starts")
}

pub fn ask(name: &str) -> Acquire {
    Acquire { lease_ms: Some(60_000), ..Acquire::new(ArcStr::from(name), Engine::new_key(), Dialect::DoubleDutch) }
}

pub fn ask_waiting(name: &str) -> Acquire {
    Acquire { wait: Some(Wait::Attached { timeout_ms: 60_000 }), ..ask(name) }
}

/// Acquires a lock and keeps it.
pub async fn hold(engine: &Engine, acquire: Acquire) -> Result<(latchd::domain::HoldKey, u64), Fault> {
    let Granted { key, token, delivery, .. } = engine.acquire(acquire).await?;
    delivery.delivered();
    Ok((key, token.0))
}

async fn waiters(engine: &Engine, name: &str) -> u32 {
    engine.lock(&ArcStr::from(name)).await.unwrap().0.map_or(0, |lock| lock.waiters)
}

/// Waits until `count` waiters are in the queue.
async fn until_waiting(engine: &Engine, name: &str, count: u32) {
    while waiters(engine, name).await != count {
        tokio::task::yield_now().await;
    }
}

fn is_held(result: Result<(latchd::domain::HoldKey, u64), Fault>) -> bool {
    matches!(result, Err(Fault::Refused(Refusal::Held(_))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lock_has_one_holder_and_is_granted_in_order() {
    let engine = start(None).await;
    let (key, first) = hold(&engine, ask("a")).await.unwrap();
    assert!(is_held(hold(&engine, ask("a")).await));
    let mut queue = Vec::new();
    for place in 1..=5 {
        let waiter = engine.clone();
        queue.push(tokio::spawn(async move { hold(&waiter, ask_waiting("a")).await.unwrap() }));
        until_waiting(&engine, "a", place).await;
    }
    let (mut key, mut last) = (key, first);
    for waiter in queue {
        assert!(!waiter.is_finished(), "no waiter is granted before the release");
        let released = engine.release(ArcStr::from("a"), None, Proof::Key(key)).await.unwrap();
        assert!(released.waiter_granted);
        let (next_key, token) = waiter.await.unwrap();
        assert!(token > last, "{token} after {last}");
        (key, last) = (next_key, token);
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_wait_and_dropped_grant_are_cancelled() {
    let engine = start(None).await;
    let (key, _) = hold(&engine, ask("a")).await.unwrap();
    let (gone, stays) = (engine.clone(), engine.clone());
    let gone = tokio::spawn(async move { hold(&gone, ask_waiting("a")).await });
    until_waiting(&engine, "a", 1).await;
    let stays = tokio::spawn(async move { hold(&stays, ask_waiting("a")).await });
    until_waiting(&engine, "a", 2).await;
    gone.abort();
    until_waiting(&engine, "a", 1).await;
    engine.release(ArcStr::from("a"), None, Proof::Key(key)).await.unwrap();
    let (key, _) = stays.await.unwrap().unwrap();
    engine.release(ArcStr::from("a"), None, Proof::Key(key)).await.unwrap();

    let undelivered = engine.acquire(ask("b")).await.unwrap();
    drop(undelivered.delivery);
    let (_, _) = hold(&engine, ask_waiting("b")).await.expect("given back, not kept for its lease");
    assert_eq!(engine.overview().stats.undelivered_grants, 1);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drop_of_a_waiter_tells_what_was_dropped() {
    let engine = start(None).await;
    let held = engine.acquire(ask("a")).await.unwrap();
    let asked = ask_waiting("a");
    let (waiter, key) = (engine.clone(), asked.key);
    let waiting = tokio::spawn(async move { hold(&waiter, asked).await });
    until_waiting(&engine, "a", 1).await;
    let drop_of = async |key| engine.drop_waiter(ArcStr::from("a"), key).await;
    assert!(matches!(drop_of(key).await, Ok(None)), "it waited");
    assert!(matches!(waiting.await.unwrap(), Err(Fault::Refused(Refusal::WaitDropped))));
    assert!(matches!(drop_of(key).await, Err(Fault::Refused(Refusal::NotWaiting))), "it is gone");
    assert_eq!(drop_of(held.key).await.ok(), Some(Some(held.token)), "it was granted");
    assert!(matches!(drop_of(held.key).await, Err(Fault::Refused(Refusal::NotWaiting))));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lease_expires_by_itself_and_never_early() {
    let engine = start(None).await;
    let asked = tokio::time::Instant::now();
    hold(&engine, Acquire { lease_ms: Some(120), ..ask("a") }).await.unwrap();
    hold(&engine, ask_waiting("a")).await.unwrap();
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(120), "the lease ended after {waited:?}");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_session_ends_with_its_holds_and_touched_one_lives() {
    let idle = Duration::from_secs(5);
    let engine = Engine::start(EngineOptions { session_idle_timeout: idle, ..options(None) }).await.unwrap();
    let session = engine.open_session(None, Caller::NOBODY).await.unwrap();
    let of_session = |name: &str| Acquire { session: Some(session), lease_ms: None, ..ask(name) };
    hold(&engine, of_session("a")).await.unwrap();
    let started = tokio::time::Instant::now();
    while started.elapsed() < idle * 3 / 2 {
        engine.touch_session(session).await.expect("a touched session does not end");
        tokio::time::sleep(idle / 10).await;
    }
    let seen = tokio::time::Instant::now();
    hold(&engine, ask_waiting("a")).await.expect("the session's end frees its lock");
    assert!(seen.elapsed() + idle / 10 >= idle, "it ended after {:?}", seen.elapsed());
    let unknown = Err(Fault::Refused(Refusal::SessionUnknown));
    assert_eq!(engine.touch_session(session).await, unknown);
    assert_eq!(engine.touch_session(SessionId([7; 16])).await, unknown);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_keeps_holds_sessions_and_the_token_counter() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(Some(dir.path())).await;
    let session = engine.open_session(None, Caller::NOBODY).await.unwrap();
    let (key, token) = hold(&engine, Acquire { session: Some(session), ..ask("a") }).await.unwrap();
    let (other, _) = hold(&engine, ask("b")).await.unwrap();
    engine.release(ArcStr::from("b"), None, Proof::Key(other)).await.unwrap();
    engine.stop().await;
    drop(engine);

    let engine = start(Some(dir.path())).await;
    engine.touch_session(session).await.unwrap();
    assert!(is_held(hold(&engine, ask("a")).await));
    let (_, later) = hold(&engine, ask("b")).await.unwrap();
    assert!(later > token + 1, "{later} was given before");
    engine.release(ArcStr::from("a"), Some(session), Proof::Key(key)).await.unwrap();
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_answers_waiters_and_refuses_new_holds() {
    let engine = start(None).await;
    let (key, _) = hold(&engine, ask("a")).await.unwrap();
    let waiting = engine.clone();
    let waiting = tokio::spawn(async move { hold(&waiting, ask_waiting("a")).await });
    until_waiting(&engine, "a", 1).await;
    engine.close();
    let shutting_down = Err(Fault::Engine(EngineError::ShuttingDown));
    assert_eq!(waiting.await.unwrap(), shutting_down);
    assert_eq!(hold(&engine, ask("b")).await, shutting_down);
    assert!(!engine.is_ready());
    engine.release(ArcStr::from("a"), None, Proof::Key(key)).await.expect("releases pass until the end");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_wait_together_share_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(Some(dir.path())).await;
    let before = engine.overview().stats;
    let takers: Vec<_> = (0..500)
        .map(|n| {
            let engine = engine.clone();
            tokio::spawn(async move { hold(&engine, ask(&format!("lock-{n}"))).await.unwrap().1 })
        })
        .collect();
    let mut tokens = Vec::new();
    for taker in takers {
        tokens.push(taker.await.unwrap());
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 500, "every grant has a token of its own");
    let after = engine.overview().stats;
    let (entries, commands) = (after.entries - before.entries, after.commands - before.commands);
    assert_eq!(commands, 500);
    assert!(entries < commands / 2, "{commands} commands took {entries} entries");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nearly_full_disk_refuses_only_new_holds() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(Some(dir.path())).await;
    let (key, _) = hold(&engine, ask("a")).await.unwrap();
    engine.stop().await;
    drop(engine);

    let mut no_disk_is_so_free = options(Some(dir.path()));
    no_disk_is_so_free.storage.min_free_bytes = u64::MAX;
    let engine = Engine::start(no_disk_is_so_free).await.unwrap();
    let nearly_full = Fault::Engine(EngineError::DiskNearlyFull);
    assert_eq!(hold(&engine, ask("b")).await, Err(nearly_full.clone()));
    assert_eq!(engine.open_session(None, Caller::NOBODY).await, Err(nearly_full));
    engine.renew(ArcStr::from("a"), None, Proof::Key(key), 60_000).await.expect("a renewal passes");
    engine.release(ArcStr::from("a"), None, Proof::Key(key)).await.expect("a release passes");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_refusals_write_no_log_entry() {
    let engine = start(None).await;
    let before = engine.overview().stats.entries;
    let too_long = "x".repeat(limits().name_bytes_max as usize + 1);
    assert!(matches!(hold(&engine, ask(&too_long)).await, Err(Fault::Refused(Refusal::LimitExceeded { .. }))));
    assert_eq!(hold(&engine, ask("a\0b")).await, Err(Fault::Refused(Refusal::NulInName)));
    let endless = Acquire { lease_ms: None, ..ask_waiting("a") };
    assert_eq!(hold(&engine, endless).await, Err(Fault::Refused(Refusal::UnboundedHold)));
    assert_eq!(engine.overview().stats.entries, before);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_list_all_locks_in_order() {
    let engine = start(None).await;
    for n in [3, 1, 2, 5, 4] {
        hold(&engine, ask(&format!("page/{n}"))).await.unwrap();
    }
    hold(&engine, ask("other")).await.unwrap();
    let filter = LockFilter { prefixes: vec!["page/".to_owned()], ..LockFilter::default() };
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = engine.locks(filter.clone(), after, 2).await.unwrap();
        seen.extend(page.locks.iter().map(|lock| lock.name.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["page/1", "page/2", "page/3", "page/4", "page/5"]);
    engine.stop().await;
}
