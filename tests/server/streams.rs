//! An answer that is made while it goes out is in flight until its end; only a peer that takes nothing is cut off.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::stream::{self, Stream};
use latchd::server::DrainPhase;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::rig::{PATIENCE, Rig};

const SHORT: &[(&str, &str)] = &[("server.idle_timeout", "200ms")];

/// `/steps` sends a line for each permit and ends with the last of `lines`, `/flood` never ends.
fn router(permits: &Arc<Semaphore>, lines: usize) -> Router {
    let permits = Arc::clone(permits);
    let steps = move || async move { Body::from_stream(steps(permits, lines)) };
    let flood =
        || async { Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![0; 65_536])))) };
    Router::new().route("/steps", get(steps)).route("/flood", get(flood))
}

fn nothing() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

fn steps(permits: Arc<Semaphore>, lines: usize) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((permits, lines), |(permits, left)| async move {
        let left = left.checked_sub(1)?;
        permits.acquire().await.expect("never closed").forget();
        Some((Ok(Bytes::from_static(b"line\n")), (permits, left)))
    })
}

#[tokio::test]
async fn stream_outlives_connection_idle_timeout() {
    let permits = Arc::new(Semaphore::new(1));
    let rig = Rig::start(router(&permits, 2), SHORT);
    for tls in [false, true] {
        let mut connection = rig.connect(tls).await;
        assert!(connection.get("/steps").await.head.contains("transfer-encoding: chunked"));
        connection.until("line\n").await;
        tokio::time::sleep(Duration::from_millis(800)).await;
        permits.add_permits(1);
        connection.until("line\n").await;
        connection.until("0\r\n\r\n").await;
        assert_eq!(connection.until_closed().await, "", "idle again");
        permits.add_permits(1);
    }
}

#[tokio::test]
async fn http2_stream_outlives_connection_idle_timeout() {
    let permits = Arc::new(Semaphore::new(1));
    let rig = Rig::start(router(&permits, 2), SHORT);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let mut answer = client.get(format!("http://{}/steps", rig.http())).send().await.expect("an answer");
    assert_eq!(answer.chunk().await.expect("sound").as_deref(), Some(&b"line\n"[..]));
    tokio::time::sleep(Duration::from_millis(800)).await;
    permits.add_permits(1);
    assert_eq!(answer.text().await.expect("sound"), "line\n");
}

#[tokio::test]
async fn peer_that_reads_nothing_is_cut_off() {
    let rig = Rig::start(router(&nothing(), 0), SHORT);
    let mut connection = rig.plain().await;
    let begun = Instant::now();
    connection.send("GET /flood HTTP/1.1\r\nhost: t\r\n\r\n").await;
    while rig.metric("latchd_connections ") != "1" {
        tokio::task::yield_now().await;
    }
    while rig.metric("latchd_connections ") != "0" {
        assert!(begun.elapsed() < PATIENCE, "it is waited for");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn drain_lets_streams_finish() {
    let permits = Arc::new(Semaphore::new(1));
    let rig = Rig::start(router(&permits, 2), SHORT);
    let mut connection = rig.plain().await;
    connection.get("/steps").await;
    connection.until("line\n").await;
    rig.drain.enter(DrainPhase::Closing);
    tokio::time::sleep(Duration::from_millis(500)).await;
    permits.add_permits(1);
    assert!(connection.until_closed().await.ends_with("line\n\r\n0\r\n\r\n"));
    rig.ended().await;
}

#[tokio::test]
async fn drain_timeout_ends_an_endless_stream() {
    let rig = Rig::start(router(&nothing(), 1), &[("server.drain_timeout", "300ms")]);
    let mut connection = rig.plain().await;
    connection.get("/steps").await;
    let begun = Instant::now();
    rig.drain.enter(DrainPhase::Closing);
    rig.ended().await;
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    connection.until_closed().await;
}
