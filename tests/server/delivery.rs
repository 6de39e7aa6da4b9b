//! A guard learns whether its answer was handed to the kernel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::routing::get;
use latchd::engine::GrantGuard;
use latchd::http::delivery::body_of_grant;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::raw::Raw;
use super::rig::{PATIENCE, Rig};

/// A delivery that tells the test whether it was lost; its sender is dropped once it was delivered or lost.
fn delivery(tell: mpsc::UnboundedSender<&'static str>) -> GrantGuard {
    struct Fate(mpsc::UnboundedSender<&'static str>, bool);
    impl Fate {
        fn lose(&mut self) {
            self.1 = true;
        }
    }
    impl Drop for Fate {
        fn drop(&mut self) {
            let _ = self.0.send(if self.1 { "lost" } else { "delivered" });
        }
    }
    let mut fate = Fate(tell, false);
    GrantGuard::new(move || fate.lose())
}

/// A service whose answers wait for the test and carry guards.
struct Guarded {
    rig: Rig,
    fates: mpsc::UnboundedReceiver<&'static str>,
    /// Lets one waiting handler answer.
    answer: Arc<Notify>,
    /// Handlers begun and handlers dropped before they answered.
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

struct CountDrop(Arc<AtomicUsize>, AtomicBool);

impl Drop for CountDrop {
    fn drop(&mut self) {
        if !self.1.load(Ordering::SeqCst) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Guarded {
    /// `size` is that of each answer's body.
    fn start(size: usize) -> Self {
        let (tell, fates) = mpsc::unbounded_channel();
        let (answer, begun, dropped) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)), Arc::default());
        let state = (Arc::clone(&answer), Arc::clone(&begun), Arc::clone(&dropped));
        let handler = move |head: Parts| {
            let (tell, (answer, begun, dropped)) = (tell.clone(), state.clone());
            async move {
                let unanswered = CountDrop(dropped, AtomicBool::new(false));
                begun.fetch_add(1, Ordering::SeqCst);
                answer.notified().await;
                unanswered.1.store(true, Ordering::SeqCst);
                body_of_grant(&head, delivery(tell), vec![b'x'; size])
            }
        };
        let at_once = || async { Body::from("at once") };
        let router = Router::new().route("/", get(handler)).route("/at-once", get(at_once));
        Self { rig: Rig::start(router, &[]), fates, answer, begun, dropped }
    }

    async fn fate(&mut self) -> &'static str {
        timeout(PATIENCE, self.fates.recv()).await.expect("told in time").expect("told")
    }
}

async fn until(counter: &AtomicUsize, count: usize) {
    let reached = async {
        while counter.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("reached in time");
}

const GET: &str = "GET / HTTP/1.1\r\nhost: t\r\n\r\n";

#[tokio::test]
async fn sent_answer_counts_as_delivered() {
    let mut service = Guarded::start(10);
    for tls in [false, true] {
        let mut connection = service.rig.connect(tls).await;
        for _ in 0..3 {
            connection.send(GET).await;
            service.answer.notify_one();
            assert_eq!(connection.answer().await.status, 200);
            assert_eq!(service.fate().await, "delivered");
            assert_eq!(connection.get("/at-once").await.body, "at once");
        }
    }
    assert!(service.fates.try_recv().is_err(), "told once each");
}

#[tokio::test]
async fn pipelined_answers_are_tracked_separately() {
    let mut service = Guarded::start(10);
    let mut connection = service.rig.plain().await;
    connection.send(GET.repeat(3)).await;
    for _ in 0..3 {
        service.answer.notify_one();
        assert_eq!(connection.answer().await.status, 200);
        assert_eq!(service.fate().await, "delivered");
    }
}

#[tokio::test]
async fn closed_connection_cancels_its_wait() {
    let service = Guarded::start(10);
    for (count, tls) in [(1, false), (2, true)] {
        let mut connection = service.rig.connect(tls).await;
        connection.send(GET).await;
        until(&service.begun, count).await;
        drop(connection);
        until(&service.dropped, count).await;
    }
}

#[tokio::test]
async fn partly_sent_answer_is_lost_with_its_connection() {
    // Larger than what the two kernels hold between them, so it is never wholly handed over.
    let mut service = Guarded::start(64 << 20);
    for tls in [false, true] {
        let mut connection = service.rig.connect(tls).await;
        connection.send(GET).await;
        service.answer.notify_one();
        assert!(timeout(Duration::from_millis(200), service.fates.recv()).await.is_err(), "neither yet");
        drop(connection);
        assert_eq!(service.fate().await, "lost");
    }
}

#[tokio::test]
async fn answer_to_reset_connection_is_lost() {
    let mut service = Guarded::start(10);
    let stream = TcpStream::connect(service.rig.http()).await.expect("a connection");
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("the option is known");
    let mut connection = Raw::over(stream);
    connection.send(GET).await;
    until(&service.begun, 1).await;
    // The runtime of this test has one thread: the server sees the reset and the permission to answer together.
    drop(connection);
    service.answer.notify_one();
    tokio::select! {
        told = timeout(PATIENCE, service.fates.recv()) => assert_eq!(told, Ok(Some("lost"))),
        // It need not have been made.
        () = until(&service.dropped, 1) => {}
    }
}

#[tokio::test]
async fn http2_answers_are_tracked() {
    let mut service = Guarded::start(10);
    let url = format!("https://localhost:{}", service.rig.https().port());
    let pem = std::fs::read(&crate::support::certificate::pair().certificate).expect("the certificate");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = reqwest::Certificate::from_pem(&pem).expect("a certificate");
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().expect("a client");
    let requests: Vec<_> = (0..3).map(|_| tokio::spawn(client.get(&url).send())).collect();
    until(&service.begun, 3).await;
    service.answer.notify_waiters();
    for request in requests {
        let answer = request.await.expect("no panic").expect("an answer");
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert_eq!(service.fate().await, "delivered");
    }
    let waiting = tokio::spawn(client.get(&url).send());
    until(&service.begun, 4).await;
    waiting.abort();
    until(&service.dropped, 1).await;
}
