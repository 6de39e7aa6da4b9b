//! Slow, idle and too many connections are bounded; a request that waits is not.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::time::{Instant, sleep};

use super::rig::{PATIENCE, Rig};

const IMPATIENT: &[(&str, &str)] = &[("server.header_timeout", "1s"), ("server.idle_timeout", "10m")];
const IDLE: Duration = Duration::from_millis(1_200);
const SHORT_IDLE: &[(&str, &str)] = &[("server.header_timeout", "10m"), ("server.idle_timeout", "1200ms")];

fn router() -> Router {
    let slow = || async {
        sleep(Duration::from_millis(2_000)).await;
        "slow"
    };
    Router::new().route("/", get(|| async { "fine" })).route("/slow", get(slow))
}

#[tokio::test]
async fn incomplete_request_head_is_cut_off() {
    let rig = Rig::start(router(), IMPATIENT);
    for tls in [false, true] {
        let begun = Instant::now();
        let mut connection = rig.connect(tls).await;
        connection.send("GET / HTTP/1.1\r\nhost:").await;
        connection.until_closed().await;
        assert!(begun.elapsed() >= Duration::from_millis(950), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn trickling_request_head_is_cut_off() {
    let rig = Rig::start(router(), IMPATIENT);
    let mut connection = rig.plain().await;
    let begun = Instant::now();
    connection.send("GET / HTTP/1.1\r\n").await;
    while connection.try_send("a: b\r\n").await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "each byte buys it more time");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(connection.until_closed().await, "");
}

#[tokio::test]
async fn idle_connection_is_closed_after_its_timeout() {
    let rig = Rig::start(router(), SHORT_IDLE);
    for tls in [false, true] {
        let mut connection = rig.connect(tls).await;
        sleep(Duration::from_millis(400)).await;
        let asked = Instant::now();
        assert_eq!(connection.get("/").await.body, "fine");
        connection.until_closed().await;
        assert!(asked.elapsed() >= IDLE, "{:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn http2_connection_is_idle_between_requests() {
    let rig = Rig::start(router(), SHORT_IDLE);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let url = format!("http://{}/", rig.http());
    for _ in 0..3 {
        let asked = Instant::now();
        assert_eq!(client.get(&url).send().await.expect("an answer").version(), reqwest::Version::HTTP_2);
        sleep(Duration::from_millis(250)).await;
        let is_open = rig.metric("latchd_connections ") == "1";
        assert!(is_open || asked.elapsed() >= IDLE, "closed after {:?}", asked.elapsed());
    }
    let begun = Instant::now();
    while rig.metric("latchd_connections ") != "0" {
        assert!(begun.elapsed() < PATIENCE, "it is idle for ever");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn waiting_request_outlives_connection_timeouts() {
    let rig = Rig::start(router(), &[IMPATIENT[0], SHORT_IDLE[1]]);
    assert_eq!(rig.plain().await.get("/slow").await.body, "slow");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused() {
    // Any other address has half of them at most.
    let proxy = [("server.trusted_proxies", "127.0.0.1"), ("access.allow_anonymous", "true")];
    let settings = [[("server.connections_max", "2")].as_slice(), &proxy].concat();
    let rig = Rig::start(router(), &settings);
    let (mut first, mut second) = (rig.plain().await, rig.tls().await);
    assert_eq!((first.get("/").await.status, second.get("/").await.status), (200, 200));
    let refused = rig.plain().await.get("/").await;
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("retry-after: 1") && refused.body.contains("connections_max"), "{refused:?}");
    let refused = rig.tls().await.get("/").await;
    assert!(refused.status == 503 && refused.head.contains("connection: close"), "{refused:?}");
    assert_eq!(rig.metric("latchd_connections_refused_total"), "2");
    assert_eq!(rig.metric("latchd_connections "), "2");
    drop(first);
    while rig.metric("latchd_connections ") != "1" {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.plain().await.get("/").await.status, 200);
}

#[tokio::test]
async fn requests_and_panics_are_counted() {
    let broken = || async {
        if true {
            panic!("a defect, on purpose");
        }
        "never"
    };
    let rig = Rig::start(router().route("/lock", get(broken)), &[]);
    let mut connection = rig.plain().await;
    assert_eq!(connection.get("/lock").await.status, 500);
    assert_eq!(connection.get("/").await.body, "fine", "the connection lives on");
    let line = r#"latchd_http_requests_total{dialect="lock_unlock",method="GET",status_class="5xx"}"#;
    assert_eq!(rig.metric(line), "1");
}
