//! Leases across a crash: never early by the holder's clock, late by at most the outage and a second.

use std::time::{Duration, Instant};

use serde_json::json;

use super::calls::API_KEY;
use crate::support::certificate::scratch_directory;
use crate::support::client::Client;
use crate::support::in_time::some_attempt_within;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// Some end during the outage, some soon after it, some well after it.
const LEASES_MS: [u64; 6] = [200, 700, 1200, 1900, 2600, 3500];
const MAY_BE_LATE: Duration = Duration::from_secs(1);
/// For the way of the answer to the client on a busy machine; nothing that the server promises.
const SLACK: Duration = Duration::from_millis(500);

struct Leased {
    name: String,
    /// Just before the request was sent, and just after its answer came.
    asked: Instant,
    answered: Instant,
    lease: Duration,
}

fn session(server: &Server) -> Client {
    let mut client = Client::plain(server).with_header("X-API-Key", API_KEY);
    assert_eq!(client.send("POST", "/session", b"").status, 201);
    client
}

fn lock(client: &mut Client, name: &str, lease: Duration, wait: Option<Duration>) -> bool {
    let mut body = json!({"name": name, "lock_timeout_seconds": lease.as_secs_f64()});
    if let Some(wait) = wait {
        body["wait_timeout_seconds"] = json!(wait.as_secs_f64());
    }
    let answer = client.post("/v1/lock", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["locked"] == true
}

fn take(client: &mut Client, lease_ms: u64) -> Leased {
    let name = format!("leased-{lease_ms}");
    let lease = Duration::from_millis(lease_ms);
    let asked = Instant::now();
    assert!(lock(client, &name, lease, None), "{name} is free");
    Leased { name, asked, answered: Instant::now(), lease }
}

#[test]
fn lease_survives_crash_without_ending_early_or_late() {
    some_attempt_within(MAY_BE_LATE + SLACK, lateness_after_a_crash);
}

/// How late the lease ended that was the latest, the outage aside.
fn lateness_after_a_crash() -> Duration {
    let data = tempfile::tempdir_in(scratch_directory()).expect("a directory under target/ can be made");
    let mut server = Spec::durable(data.path()).api_key(API_KEY).start();
    let mut client = session(&server);
    let leased: Vec<Leased> = LEASES_MS.iter().map(|&lease_ms| take(&mut client, lease_ms)).collect();
    server.kill();
    let killed = Instant::now();
    std::thread::sleep(Duration::from_millis(400));
    let server = server.start_again();
    let outage = killed.elapsed();
    std::thread::scope(|scope| {
        let ends = leased.iter().map(|one| {
            let mut next = session(&server);
            scope.spawn(move || {
                assert!(lock(&mut next, &one.name, one.lease, Some(Duration::from_secs(30))), "{}", one.name);
                let granted = Instant::now();
                let held = granted - one.asked;
                assert!(held >= one.lease, "{} was given away after {held:?}", one.name);
                (granted - one.answered).saturating_sub(one.lease + outage)
            })
        });
        let ends: Vec<_> = ends.collect();
        ends.into_iter().map(|end| end.join().expect("it ends")).max().expect("leases")
    })
}
