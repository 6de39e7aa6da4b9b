//! Sessions of `ldlm.LDLM` live as long as their connection, and their holds a grace longer than their server.

use super::ldlm::{lock, renew, take, try_lock, unlock};
use crate::dialects::dialect_client::until;
use crate::support::client::{Client, Wire};
use crate::support::grpc::{GrpcClient, runtime};
use crate::support::process::Server;
use crate::support::spec::Spec;
use latchd::dialects::ldlm::proto::{LockRequest, LockResponse, TryLockRequest};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::Code;

fn server() -> Server {
    Spec::in_memory().start()
}

fn held_for(client: &GrpcClient, name: &str, seconds: i32) -> String {
    let request =
        TryLockRequest { name: name.into(), lock_timeout_seconds: Some(seconds), ..TryLockRequest::default() };
    let answer = try_lock(client, request);
    assert!(answer.locked, "{name}");
    answer.key
}

#[test]
fn closed_connection_releases_only_its_own_locks() {
    let server = Spec::in_memory().configuration("[sessions]\nconnection_loss_grace = \"10m\"\n").start();
    let (leaves, stays) = (GrpcClient::tls(&server), GrpcClient::tls(&server));
    take(&leaves, "of-the-leaving").expect("free");
    take(&stays, "of-the-staying").expect("free");
    let key = take(&stays, "handed-over").expect("free");
    assert!(unlock(&leaves, "handed-over", &key).unlocked, "the key alone opens");
    drop(leaves);
    until("the lock of the closed connection", || take(&stays, "of-the-leaving").is_some());
    assert!(take(&GrpcClient::tls(&server), "of-the-staying").is_none());
}

#[test]
fn cancelled_waiting_call_takes_nothing() {
    let server = server();
    let holder = GrpcClient::plain(&server);
    let key = take(&holder, "a").expect("free");
    let waiter = GrpcClient::plain(&server);
    let request = LockRequest { name: "a".into(), ..LockRequest::default() };
    // One wait ends by a reset of its stream, one by its deadline, one with its connection.
    let cancelled = waiter.begin::<_, LockResponse>("/ldlm.LDLM/Lock", request.clone());
    let cancelled = runtime().block_on(async { tokio::time::timeout(Duration::from_millis(300), cancelled).await });
    assert!(cancelled.is_err(), "it waits");
    let short = waiter.clone().with_metadata("grpc-timeout", "200m");
    let late = short.call::<_, LockResponse>("/ldlm.LDLM/Lock", request.clone());
    assert!(matches!(late.expect_err("too late").code(), Code::DeadlineExceeded | Code::Cancelled));
    let mut watcher = Client::plain(&server);
    until("both to have left", || watcher.get("/v1/locks/a").json()["queue_length"] == 0);
    let closes = GrpcClient::plain(&server);
    let waiting = runtime().spawn(async move { closes.begin::<_, LockResponse>("/ldlm.LDLM/Lock", request).await });
    until("only one to wait", || watcher.get("/v1/locks/a").json()["queue_length"] == 1);
    waiting.abort();
    until("nobody to wait", || watcher.get("/v1/locks/a").json()["queue_length"] == 0);
    assert!(unlock(&holder, "a", &key).unlocked);
    let key = take(&holder, "a").expect("nobody who is gone has it");
    assert!(unlock(&holder, "a", &key).unlocked);
}

#[test]
fn holds_survive_their_server_and_open_with_their_keys() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut server = Spec::durable(directory.path()).start();
    let client = GrpcClient::plain(&server);
    let timed = held_for(&client, "timed", 600);
    let endless = take(&client, "endless").expect("free");
    for killed in [true, false] {
        server = if killed { server.kill_and_restart() } else { server.stop_and_restart() };
        let client = GrpcClient::plain(&server);
        assert!(take(&client, "timed").is_none() && take(&client, "endless").is_none(), "killed: {killed}");
        assert!(renew(&client, "timed", &timed, 600).locked, "killed: {killed}");
    }
    let client = GrpcClient::plain(&server);
    assert!(unlock(&client, "timed", &timed).unlocked && unlock(&client, "endless", &endless).unlocked);
}

#[test]
fn unrenewed_holds_of_a_dead_server_end_after_the_grace() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let spec = Spec::durable(directory.path()).configuration("[sessions]\nconnection_loss_grace = \"10s\"\n");
    let server = spec.start();
    let (first, second) = (GrpcClient::plain(&server), GrpcClient::plain(&server));
    let renewed = held_for(&first, "renewed", 600);
    take(&second, "forgotten").expect("free");
    let killed = Instant::now();
    let server = server.kill_and_restart();
    let client = GrpcClient::plain(&server);
    until("the end of the grace", || {
        assert!(renew(&client, "renewed", &renewed, 600).locked);
        std::thread::sleep(Duration::from_millis(200));
        take(&client, "forgotten").is_some()
    });
    assert!(killed.elapsed() >= Duration::from_secs(10), "{:?}", killed.elapsed());
    assert!(renew(&client, "renewed", &renewed, 600).locked, "whoever renews keeps its hold");
}

#[test]
fn no_clear_on_disconnect_keeps_locks() {
    let server = Spec::in_memory().configuration("[sessions]\nno_clear_on_disconnect = true\n").start();
    let leaves = GrpcClient::plain(&server);
    let key = take(&leaves, "stays").expect("free");
    let waits = GrpcClient::plain(&server);
    drop(leaves);
    let request = LockRequest { name: "stays".into(), wait_timeout_seconds: Some(2), ..LockRequest::default() };
    assert!(!lock(&waits, request).locked);
    assert!(unlock(&waits, "stays", &key).unlocked);
}

/// Carries bytes between a client and the server until it is stopped; then it stays open and silent.
async fn relay(to: SocketAddr, silent: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut server = TcpStream::connect(to).await.expect("the server listens");
        let mut silent = silent;
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            _ = silent.wait_for(|silent| *silent) => {}
        }
        std::future::pending::<()>().await;
        drop((client, server));
    });
    address
}

#[test]
fn unresponsive_peer_is_detected_by_pings() {
    let configuration = "[server]\nkeepalive_interval = \"1s\"\nkeepalive_timeout = \"6s\"\n";
    let server = Spec::in_memory().configuration(configuration).start();
    let (silence, silent) = watch::channel(false);
    let half_dead = GrpcClient::at(runtime().block_on(relay(server.http(), silent)), Wire::Plain);
    take(&half_dead, "a").expect("free");
    let other = GrpcClient::plain(&server);
    // Pings are answered as long as the peer lives.
    let patient = LockRequest { name: "a".into(), wait_timeout_seconds: Some(9), ..LockRequest::default() };
    assert!(!lock(&other, patient.clone()).locked, "a living connection was cut");
    silence.send_replace(true);
    let patient = LockRequest { wait_timeout_seconds: Some(60), ..patient };
    assert!(lock(&other, patient).locked, "the dead peer still holds");
}

#[test]
fn connection_with_a_session_does_not_idle_out() {
    let server = Spec::in_memory().configuration("[server]\nidle_timeout = \"2s\"\n").start();
    let silent = GrpcClient::plain(&server);
    take(&silent, "a").expect("free");
    let request = LockRequest { name: "a".into(), wait_timeout_seconds: Some(8), ..LockRequest::default() };
    assert!(!lock(&GrpcClient::plain(&server), request).locked, "silence cost a session");
}
