//! Refused requests write no log entry; all others do.

use super::service::{ask, ask_waiting, hold, options, start};
use crate::domain::kit::limits;
use arcstr::ArcStr;
use latchd::domain::Wait;
use latchd::domain::{
    Acquire, BodyDigest, Caller, Dialect, Force, HoldKey, IdempotencyId, IdempotencyKey, Limits, Proof, Refusal,
    SessionId,
};
use latchd::engine::{Engine, EngineOptions, Fault};
use std::time::Duration;

/// Longer than any test: nothing expires, so no entry is written for the time alone.
const LONG_MS: u64 = 3_600_000;

fn index(engine: &Engine) -> u64 {
    engine.overview().log.last_log_index
}

/// Repeats a request: it is refused in the same way each time, and nothing of it reaches the log.
async fn refused_without_entry(
    engine: &Engine,
    what: &str,
    expected: fn(&Refusal) -> bool,
    attempt: impl AsyncFn() -> Result<(), Fault>,
) {
    let before = index(engine);
    for _ in 0..20 {
        match attempt().await {
            Err(Fault::Refused(refusal)) if expected(&refusal) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    assert_eq!(index(engine), before, "{what}: a refusal was written to the log");
}

fn lasting(name: &str) -> Acquire {
    Acquire { lease_ms: Some(LONG_MS), ..ask(name) }
}

async fn take(engine: &Engine, acquire: Acquire) -> Result<(), Fault> {
    hold(engine, acquire).await.map(|_| ())
}

fn key(id: u8, body: u8) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { id: IdempotencyId([id; 16]), body: BodyDigest([body; 16]) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_acquire_writes_no_log_entry() {
    let engine = start(None).await;
    hold(&engine, lasting("held")).await.unwrap();
    let sized = Acquire { size: 2, remembers_size: true, ..lasting("sized") };
    hold(&engine, sized).await.unwrap();
    let session = engine.open_session_for(Duration::from_secs(3_600), None, Caller::NOBODY).await.unwrap();
    let is_held = |refusal: &Refusal| matches!(refusal, Refusal::Held(_));
    refused_without_entry(&engine, "held", is_held, async || take(&engine, ask("held")).await).await;
    let with_session = || Acquire { session: Some(session), ..ask("held") };
    refused_without_entry(&engine, "by a session", is_held, async || take(&engine, with_session()).await).await;
    let labelled = || Acquire { label: Some(ArcStr::from("me")), reentrant: true, ..ask("held") };
    refused_without_entry(&engine, "by a label", is_held, async || take(&engine, labelled()).await).await;
    let other_size = || Acquire { remembers_size: true, ..ask("sized") };
    let mismatch = |refusal: &Refusal| matches!(refusal, Refusal::SizeMismatch { size: 2 });
    refused_without_entry(&engine, "size", mismatch, async || take(&engine, other_size()).await).await;
    let stranger = || Acquire { session: Some(SessionId([9; 16])), ..ask("free") };
    let unknown = |refusal: &Refusal| *refusal == Refusal::SessionUnknown;
    refused_without_entry(&engine, "session", unknown, async || take(&engine, stranger()).await).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acquire_beyond_a_limit_writes_no_log_entry() {
    let limits = Limits { holds_max: 3, waiters_per_lock_max: 1, sessions_max: 1, requests_max: 1, ..limits() };
    let engine = Engine::start(EngineOptions { limits, ..options(None) }).await.expect("the engine starts");
    let open = async |request| engine.open_session_for(Duration::from_secs(3_600), request, Caller::NOBODY).await;
    open(key(1, 1)).await.unwrap();
    hold(&engine, lasting("a")).await.unwrap();
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { hold(&engine, Acquire { wait: Some(Wait::Attached { timeout_ms: LONG_MS }), ..lasting("a") }).await }
    });
    while engine.overview().counts.waiters == 0 {
        tokio::task::yield_now().await;
    }
    let queue = |refusal: &Refusal| matches!(refusal, Refusal::QueueFull { limit: 1 });
    refused_without_entry(&engine, "queue", queue, async || take(&engine, ask_waiting("a")).await).await;
    let requests = |refusal: &Refusal| matches!(refusal, Refusal::IdempotencyKeysFull { limit: 1 });
    let keyed = || Acquire { idempotency_key: key(2, 2), ..ask("b") };
    refused_without_entry(&engine, "keys", requests, async || take(&engine, keyed()).await).await;
    let reused = |refusal: &Refusal| *refusal == Refusal::RequestReused;
    let other = || Acquire { idempotency_key: key(1, 2), ..ask("b") };
    refused_without_entry(&engine, "key of another", reused, async || take(&engine, other()).await).await;
    let sessions = |refusal: &Refusal| matches!(refusal, Refusal::SessionsFull { limit: 1 });
    refused_without_entry(&engine, "sessions", sessions, async || open(None).await.map(|_| ())).await;
    hold(&engine, lasting("b")).await.unwrap();
    let holds = |refusal: &Refusal| matches!(refusal, Refusal::HoldsFull { limit: 3 });
    refused_without_entry(&engine, "holds", holds, async || take(&engine, ask("c")).await).await;
    waiting.abort();
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_or_renewal_of_no_hold_writes_no_log_entry() {
    let engine = start(None).await;
    let (key, _) = hold(&engine, Acquire { lease_ms: None, ..ask("a") }).await.unwrap();
    let (name, wrong) = (ArcStr::from("a"), HoldKey([7; 16]));
    let is_wrong = |refusal: &Refusal| *refusal == Refusal::WrongKey;
    let release = async || engine.release(name.clone(), None, Proof::Key(wrong)).await.map(|_| ());
    refused_without_entry(&engine, "release", is_wrong, release).await;
    let force = async || engine.force_release(name.clone(), wrong, Force::new("ops", "why")).await.map(|_| ());
    refused_without_entry(&engine, "force", is_wrong, force).await;
    let renew = async || engine.renew(name.clone(), None, Proof::Key(wrong), 1).await.map(|_| ());
    refused_without_entry(&engine, "renew", is_wrong, renew).await;
    let no_lease = |refusal: &Refusal| *refusal == Refusal::NoLease;
    let leaseless = async || engine.renew(name.clone(), None, Proof::Key(key), 1).await.map(|_| ());
    refused_without_entry(&engine, "without a lease", no_lease, leaseless).await;
    let by_name = async || engine.release(name.clone(), None, Proof::TakenBy(Dialect::LockdRest)).await.map(|_| ());
    refused_without_entry(&engine, "by name", is_wrong, by_name).await;
    let not_waiting = |refusal: &Refusal| *refusal == Refusal::NotWaiting;
    let cancel = async || engine.cancel_wait(name.clone(), ArcStr::from("me")).await;
    refused_without_entry(&engine, "cancel", not_waiting, cancel).await;
    let unknown = |refusal: &Refusal| *refusal == Refusal::SessionUnknown;
    let close = async || engine.close_session(SessionId([9; 16])).await;
    refused_without_entry(&engine, "close", unknown, close).await;
    let touch = async || engine.touch_session(SessionId([9; 16])).await;
    refused_without_entry(&engine, "touch", unknown, touch).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_lease_refuses_no_acquire() {
    let engine = start(None).await;
    let lease = Duration::from_millis(100);
    for _ in 0..5 {
        hold(&engine, Acquire { lease_ms: Some(100), ..ask("a") }).await.unwrap();
        let (_, now) = engine.lock(&ArcStr::from("a")).await.unwrap();
        while engine.now().since(now) <= lease {
            tokio::task::yield_now().await;
        }
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_request_counts_as_a_touch_of_its_session() {
    let engine = start(None).await;
    hold(&engine, lasting("a")).await.unwrap();
    let idle = Duration::from_secs(4);
    let session = engine.open_session_for(idle, None, Caller::NOBODY).await.unwrap();
    let began = engine.now();
    while engine.now().since(began) < idle * 3 / 2 {
        let refused = take(&engine, Acquire { session: Some(session), ..ask("a") }).await;
        assert!(matches!(refused, Err(Fault::Refused(Refusal::Held(_)))), "{refused:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.stop().await;
}
