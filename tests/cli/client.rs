//! The Rust client against the binary.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use latchd::client::{Client, ClientError, LockRequest, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::certificate;
use crate::support::process::Server;
use crate::support::spec::Spec;

const KEY: &str = "a key for these tests";

fn client(server: &Server) -> Client {
    let trust = Trust::Authority(certificate::pair().certificate.clone());
    let url = format!("https://{}", server.https());
    Client::builder(&url).expect("a URL").trust(trust).api_key(KEY).build().expect("a client")
}

#[tokio::test]
async fn lock_is_acquired_renewed_and_released() {
    let server = Spec::in_memory().api_key(KEY).start();
    let (first, second) = (client(&server), client(&server));
    first.ready().await.expect("ready");
    assert_eq!(first.open_session().await.expect("a session").session_id.len(), 32);
    second.open_session().await.expect("a session");
    let request = LockRequest::new("a lock").lease(Duration::from_millis(30_500)).metadata("who", "first");
    let taken = first.lock(&request).await.expect("an answer");
    assert!(taken.expires_in_seconds.is_some_and(|left| left > 29.0 && left <= 30.5), "{taken:?}");
    assert!(taken.locked);
    let token = taken.fencing_token.expect("a token");
    let tried = second.lock(&LockRequest::new("a lock")).await.expect("an answer");
    assert!(!tried.locked && tried.fencing_token.is_none());
    let renewed = first.renew("a lock", &taken.key, Duration::from_secs(60)).await.expect("an answer");
    assert!(renewed.locked && renewed.error.is_none(), "{renewed:?}");
    let waiting = tokio::spawn({
        let second = second.clone();
        async move { second.lock(&LockRequest::new("a lock").wait(Duration::from_secs(20))).await }
    });
    let wrong = first.unlock("a lock", "no key").await.expect("an answer");
    assert!(!wrong.unlocked && wrong.error.is_some());
    assert!(first.unlock("a lock", &taken.key).await.expect("an answer").unlocked);
    let next = waiting.await.expect("no panic").expect("an answer");
    assert!(next.locked && next.fencing_token.is_some_and(|next| next > token), "{next:?}");
    second.close_session().await.expect("closed");
    assert!(first.lock(&LockRequest::new("a lock").size(1)).await.expect("an answer").locked, "free with its session");
}

#[tokio::test]
async fn refusals_show_status_and_unknown_certificate_is_refused() {
    let server = Spec::in_memory().api_key(KEY).start();
    let refused = client(&server).lock(&LockRequest::new("x")).await.expect_err("no session").to_string();
    assert!(refused.contains("/v1/lock answered 401") && refused.contains("session cookie"), "{refused}");
    let url = format!("https://{}", server.https());
    let stranger = Client::builder(&url).expect("a URL").build().expect("a client");
    let refused = stranger.ready().await.expect_err("an unknown authority").to_string();
    assert!(refused.contains("cannot be reached"), "{refused}");
    assert!(!format!("{:?}", client(&server)).contains(KEY), "the key in Debug output");
}

/// A proxy that drops the first answer to a request for a lock, and closes its connection after this delay.
async fn lossy(server: SocketAddr, breaks_after: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let has_lost = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.expect("the server listens");
            tokio::spawn(pass_on(client, server, Arc::clone(&has_lost), breaks_after));
        }
    });
    address
}

async fn pass_on(mut client: TcpStream, mut server: TcpStream, has_lost: Arc<AtomicBool>, breaks_after: Duration) {
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    let mut is_for_a_lock = false;
    loop {
        let passed = tokio::select! {
            Ok(count @ 1..) = client.read(&mut asked) => {
                is_for_a_lock |= asked[..count].windows(13).any(|window| window == b"POST /v1/lock");
                server.write_all(&asked[..count]).await
            }
            Ok(count @ 1..) = server.read(&mut answered) => {
                if is_for_a_lock && !has_lost.swap(true, Ordering::Relaxed) {
                    tokio::time::sleep(breaks_after).await;
                    return;
                }
                client.write_all(&answered[..count]).await
            }
            else => return,
        };
        if passed.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn lease_of_late_answer_counts_from_its_grant() {
    let server = Spec::in_memory().start();
    let url = format!("http://{}", lossy(server.http(), Duration::from_secs(1)).await);
    let client = Client::builder(&url).expect("a URL").build().expect("a client");
    client.open_session().await.expect("a session");
    let request = LockRequest::new("told late").lease(Duration::from_secs(30));
    let hold = client.acquire(&request).await.expect("an answer").expect("the lock");
    let left = hold.until.expect("a lease").left();
    assert!(left > Duration::from_secs(28) && left <= Duration::from_secs(29), "{left:?} of 30 s after one is gone");
}

#[tokio::test]
async fn hold_lost_before_its_answer_is_acquired_again() {
    let server = Spec::in_memory().start();
    let url = format!("http://{}", lossy(server.http(), Duration::from_millis(800)).await);
    let client = Client::builder(&url).expect("a URL").build().expect("a client");
    client.open_session().await.expect("a session");
    let request = LockRequest::new("untold").lease(Duration::from_millis(500)).wait(Duration::from_secs(10));
    let hold = client.acquire(&request).await.expect("an answer").expect("the lock");
    assert!(!hold.until.expect("a lease").has_come());
}

#[tokio::test]
async fn wait_that_closes_a_cycle_is_refused_with_its_steps() {
    let server = Spec::in_memory().api_key(KEY).start();
    let (first, second) = (client(&server), client(&server));
    for client in [&first, &second] {
        client.open_session().await.expect("a session");
    }
    first.acquire(&LockRequest::of_all(["a", "c"]).shared()).await.expect("an answer").expect("the locks");
    second.acquire(&LockRequest::new("b")).await.expect("an answer").expect("the lock");
    let waits =
        async |client: &Client, name: &str| client.acquire(&LockRequest::new(name).wait(Duration::from_secs(20))).await;
    let waiting = waits(&second, "a");
    let closing = async {
        while first.show_lock("a").await.expect("an answer").is_none_or(|lock| lock.queue_length == 0) {
            tokio::task::yield_now().await;
        }
        let refused = waits(&first, "b").await.expect_err("a deadlock");
        let ClientError::WouldDeadlock(steps) = &refused else { panic!("{refused}") };
        let names: Vec<_> = steps.iter().map(|step| step.name.as_deref().expect("a name")).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!((&steps[0].held_by, &steps[1].held_by), (&steps[1].waited_for_by, &steps[0].waited_for_by));
        first.close_session().await.expect("closed");
    };
    let (granted, ()) = tokio::join!(waiting, closing);
    assert!(granted.expect("an answer").is_some(), "the other's wait went on");
}
