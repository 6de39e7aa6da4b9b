//! Steps of the wall clock, as NTP or an operator makes them: they end no lease early, and keep none longer.
//!
//! The server runs under libfaketime, which shows it another wall clock and leaves the monotonic one alone.

use std::path::Path;
use std::time::{Duration, Instant};

use latchd::dialects::raftlock::proto::{AcquireRequest, AcquireResponse};
use serde_json::json;

use super::tools::program;
use crate::support::client::Client;
use crate::support::grpc::GrpcClient;
use crate::support::http::Response;
use crate::support::in_time::some_attempt_within;
use crate::support::process::Server;
use crate::support::spec::Spec;

const API_KEY: &str = "clock-key-0123456789abcdef";
const LEASE: Duration = Duration::from_secs(4);

/// The library for programs with threads, as the loader is told of it.
fn library() -> String {
    let said = super::tools::run(program("faketime").args(["-m", "-f", "+0s", "sh", "-c", "echo $LD_PRELOAD"]));
    assert!(said.contains("libfaketimeMT"), "faketime preloads {said:?}");
    said.trim().to_owned()
}

fn serve(offset: &Path) -> Server {
    let data = Spec::in_memory().api_key(API_KEY).environment("LD_PRELOAD", library());
    let data = data.environment("FAKETIME_TIMESTAMP_FILE", offset.display()).environment("FAKETIME_NO_CACHE", 1);
    data.environment("DONT_FAKE_MONOTONIC", 1).environment("FAKETIME_DONT_FAKE_MONOTONIC", 1).start()
}

fn session(server: &Server) -> (Client, Response) {
    let mut client = Client::plain(server).with_header("X-API-Key", API_KEY);
    let opened = client.send("POST", "/session", b"");
    assert_eq!(opened.status, 201, "{}", opened.text());
    (client, opened)
}

fn lock(client: &mut Client, name: &str, wait: Option<Duration>) -> bool {
    let mut body = json!({"name": name, "lock_timeout_seconds": LEASE.as_secs_f64()});
    if let Some(wait) = wait {
        body["wait_timeout_seconds"] = json!(wait.as_secs_f64());
    }
    client.post("/v1/lock", &body).json()["locked"] == true
}

/// What the server takes the present moment for, in seconds. The moments in RaftLock's answers alone follow the wall
/// clock, and so show that a step has reached the server.
fn present(server: &Server) -> i64 {
    let client = GrpcClient::plain(server).with_metadata("x-api-key", API_KEY);
    let asked = AcquireRequest { lock_id: "clock".into(), client_id: "clock".into(), ..AcquireRequest::default() };
    let taken: AcquireResponse = client.call("/raftlock.RaftLock/Acquire", asked).expect("status OK");
    let expires = taken.lock.and_then(|lock| lock.expires_at).expect("a lock with a lease");
    expires.seconds
}

fn clock_step_changes_no_lease(step: &str) {
    some_attempt_within(LEASE / 2, || lateness_after_a_step(step));
}

/// How late the lease of a holder ended.
fn lateness_after_a_step(step: &str) -> Duration {
    let offset = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(offset.path(), "+0").expect("the offset can be written");
    let server = serve(offset.path());
    let (mut holder, _) = session(&server);
    let asked = Instant::now();
    assert!(lock(&mut holder, "stepped", None));
    let answered = Instant::now();
    let before = present(&server);
    std::fs::write(offset.path(), step).expect("the offset can be written");
    let after = present(&server);
    assert!((after - before).abs() > 3_600, "the server does not see the step: {before}, {after}");
    let (mut next, _) = session(&server);
    assert!(lock(&mut next, "stepped", Some(5 * LEASE)), "the lease ends");
    assert!(asked.elapsed() >= LEASE, "{step}: the lease ended after {:?}", asked.elapsed());
    answered.elapsed().saturating_sub(LEASE)
}

#[test]
fn wall_clock_step_forward_changes_no_lease() {
    clock_step_changes_no_lease("+7200");
}

#[test]
fn wall_clock_step_back_changes_no_lease() {
    clock_step_changes_no_lease("-7200");
}
