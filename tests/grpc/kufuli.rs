//! `api.Api`: waiting requests of kufuli, and cancelled ones.

use crate::support::client::Client;
use crate::support::grpc::{GrpcClient, runtime};
use crate::support::spec::Spec;
use latchd::dialects::kufuli::proto::{Request, Response};
use std::time::{Duration, Instant};

fn request(service: &str) -> Request {
    Request { resource: "disk0".into(), service_id: service.into() }
}

fn ask(client: &GrpcClient, path: &'static str, service: &str) -> (bool, String) {
    let answer: Response = client.call(path, request(service)).expect("status OK");
    (answer.success, answer.error)
}

const LOCK: &str = "/api.Api/RequestLock";
const RELEASE: &str = "/api.Api/ReleaseLock";

#[test]
fn request_waits_and_fails_with_kufulis_message() {
    let configuration = "[locks]\nkufuli_wait = \"700ms\"\nkufuli_max_lock_span = \"1m\"\n";
    let server = Spec::in_memory().configuration(configuration).start();
    let client = GrpcClient::plain(&server);
    assert_eq!(ask(&client, LOCK, "logger"), (true, String::new()));
    for service in ["sync", "logger"] {
        let asked = Instant::now();
        let answer = ask(&client, LOCK, service);
        assert_eq!(answer, (false, "Error: timeout while trying to acquire lock".into()), "{service}");
        assert!(asked.elapsed() >= Duration::from_millis(700), "{service}");
    }
    assert_eq!(ask(&client, RELEASE, "sync"), (false, "Error: Could not release resource disk0".into()));
    assert_eq!(ask(&client, RELEASE, "logger"), (true, String::new()));
    assert_eq!(ask(&client, RELEASE, "logger"), (false, "Error: Could not release resource disk0".into()));
}

#[test]
fn waiting_request_is_granted_and_cancelled_one_is_not() {
    let configuration = "[locks]\nkufuli_wait = \"30s\"\nkufuli_max_lock_span = \"1m\"\n";
    let server = Spec::in_memory().configuration(configuration).start();
    let (holder, waits) = (GrpcClient::plain(&server), GrpcClient::plain(&server));
    assert!(ask(&holder, LOCK, "holder").0);
    let leaves = waits.clone();
    let left = runtime().spawn(async move { leaves.begin::<_, Response>(LOCK, request("leaves")).await });
    let mut watcher = Client::plain(&server);
    let mut until_waiting = |count: u64| {
        crate::dialects::dialect_client::until("waiters", || {
            watcher.get("/v1/locks/disk0").json()["queue_length"].as_u64() == Some(count)
        });
    };
    until_waiting(1);
    let stays = runtime().spawn(async move { waits.begin::<_, Response>(LOCK, request("stays")).await });
    until_waiting(2);
    left.abort();
    until_waiting(1);
    assert!(ask(&holder, RELEASE, "holder").0);
    let answer = runtime().block_on(stays).expect("no panic").expect("status OK");
    assert!(answer.success && answer.fencing_token > 0);
    assert!(!ask(&holder, RELEASE, "leaves").0);
    assert!(ask(&holder, RELEASE, "stays").0);
}
