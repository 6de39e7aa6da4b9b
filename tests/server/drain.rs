//! The end: what is in flight is answered, nothing else holds it up.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use latchd::server::{Drain, DrainPhase, probes};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::rig::Rig;

/// Requests that have reached their handler, and what ends those of them that wait.
struct Gate {
    reached: Semaphore,
    release: Notify,
}

impl Gate {
    fn new() -> Arc<Gate> {
        Arc::new(Gate { reached: Semaphore::new(0), release: Notify::new() })
    }

    async fn reached_by(&self, requests: u32) {
        self.reached.acquire_many(requests).await.expect("it is not closed").forget();
    }
}

/// `/wait` answers when it is released, `/stuck` never.
fn router(gate: &Arc<Gate>) -> Router {
    let (waits, hangs) = (Arc::clone(gate), Arc::clone(gate));
    let wait = move || async move {
        let released = waits.release.notified();
        waits.reached.add_permits(1);
        released.await;
        "released"
    };
    let stuck = move || async move {
        hangs.reached.add_permits(1);
        std::future::pending::<&'static str>().await
    };
    Router::new().route("/", get(|| async { "fine" })).route("/wait", get(wait)).route("/stuck", get(stuck))
}

#[tokio::test]
async fn drain_answers_requests_in_flight() {
    let gate = Gate::new();
    let rig = Rig::start(router(&gate), &[]);
    let (mut plain, mut tls, mut idle) = (rig.plain().await, rig.tls().await, rig.tls().await);
    assert_eq!(idle.get("/").await.body, "fine");
    for connection in [&mut plain, &mut tls] {
        connection.send("GET /wait HTTP/1.1\r\nhost: t\r\n\r\n").await;
    }
    gate.reached_by(2).await;
    rig.drain.enter(DrainPhase::Closing);
    rig.drain.reached(DrainPhase::Closing).await;
    idle.until_closed().await;
    gate.release.notify_waiters();
    for connection in [&mut plain, &mut tls] {
        let answer = connection.answer().await;
        assert_eq!(answer.body, "released");
        assert!(answer.head.contains("connection: close"), "{}", answer.head);
    }
    rig.ended().await;
}

#[tokio::test]
async fn drain_timeout_ends_an_endless_request() {
    let gate = Gate::new();
    let rig = Rig::start(router(&gate), &[("server.drain_timeout", "300ms")]);
    let mut connection = rig.plain().await;
    connection.send("GET /stuck HTTP/1.1\r\nhost: t\r\n\r\n").await;
    gate.reached_by(1).await;
    let begun = Instant::now();
    rig.drain.enter(DrainPhase::Closing);
    rig.ended().await;
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    connection.until_closed().await;
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_drain() {
    let rig = Rig::start(router(&Gate::new()), &[("server.header_timeout", "10m"), ("server.drain_timeout", "10m")]);
    let (mut silent, mut begun) = (rig.plain().await, rig.plain().await);
    let no_handshake = tokio::net::TcpStream::connect(rig.https()).await.expect("a connection");
    begun.send("GET / HTTP/1.1\r\n").await;
    assert_eq!(rig.plain().await.get("/").await.body, "fine");
    rig.drain.enter(DrainPhase::Closing);
    rig.ended().await;
    silent.until_closed().await;
    drop(no_handshake);
}

#[tokio::test]
async fn drain_ends_readiness_before_requests() {
    let drain = Drain::default();
    let probes = probes::routes(drain.clone(), || None);
    let rig = Rig::start(probes, &[]);
    let mut connection = rig.plain().await;
    assert_eq!(connection.get("/readyz").await.status, 200);
    drain.enter(DrainPhase::Closing);
    assert_eq!(connection.get("/readyz").await.status, 503);
    assert_eq!(connection.get("/livez").await.status, 200);
}
