//! One caller fills no pool for all others, and nobody fills the memory.

use crate::support::client::Client;
use crate::support::grpc::GrpcClient;
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::spec::Spec;
use latchd::dialects::ldlm::proto::{LockResponse, TryLockRequest};
use latchd::dialects::lockd::proto::{LockName, LockResult};
use latchd::dialects::raftlock::proto::{AcquireRequest, AcquireResponse};
use serde_json::json;
use sha2::{Digest as _, Sha256};

const ADMIN: &str = "an admin of the tests";
const KEY: &str = "locks.table_bytes_max";
/// Of the tests below: more than any of them takes.
const ENOUGH: usize = 1_000;

fn configuration(rest: &str) -> String {
    let key = |name: &str| {
        let digest: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{ name = \"{name}\", sha256 = \"{digest}\", role = \"client\" }}")
    };
    format!("[access]\nkeys = [{}, {}]\n{rest}", key("ci"), key("other"))
}

fn with(server: &Server, secret: &str) -> Client {
    Client::plain(server).with_header("X-API-Key", secret)
}

/// Does it until it is refused, and gives how often it was done before, and the refusal.
fn until_refused(mut step: impl FnMut(usize) -> Response, done: u16) -> (usize, Response) {
    let mut answers = (0..ENOUGH).map(|number| (number, step(number)));
    answers.find(|(_, answer)| answer.status != done).expect("there is a bound")
}

fn take(client: &mut Client, number: usize) -> Response {
    client.post("/lock", &json!({"resource": format!("{number}"), "ttl": 600, "metadata": {"text": "x".repeat(200)}}))
}

fn metric(server: &Server, name: &str) -> f64 {
    let text = with(server, ADMIN).get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn full_table_refuses_acquires_and_serves_releases() {
    let limit = "[locks]\ntable_bytes_max = \"64KiB\"\n[quotas]\ncredential_percent = 0\naddress_percent = 0\n";
    let server = Spec::in_memory().api_key(ADMIN).configuration(limit).start();
    let mut client = with(&server, ADMIN);
    assert_eq!(client.post("/session", &json!({})).status, 201);
    let hold = client.post("/v1/lock", &json!({"name": "mine", "lock_timeout_seconds": 600})).json();
    let first = take(&mut client, ENOUGH).json();
    let (taken, refused) = until_refused(|number| take(&mut client, number), 200);
    assert!(taken > 10, "{taken}");
    // A session takes less than a lock.
    let mut others = with(&server, ADMIN);
    let (_, no_session) = until_refused(|_| others.post("/session", &json!({})), 201);
    let answers = [
        refused,
        no_session,
        client.post("/v1/lock", &json!({"name": "more"})),
        client.get("/getlock?lockname=more"),
        client.post("/lock/more", &json!({})),
    ];
    for answer in &answers {
        assert!(answer.status == 503 && answer.text().contains(KEY), "{} {}", answer.status, answer.text());
    }
    let grpc = GrpcClient::plain(&server).with_metadata("x-api-key", ADMIN);
    let lockd: Result<LockResult, _> = grpc.call("/lockapi.Locking/Lock", LockName { name: "more".into() });
    let asked = AcquireRequest { lock_id: "more".into(), client_id: "me".into(), ..AcquireRequest::default() };
    let raftlock: Result<AcquireResponse, _> = grpc.call("/raftlock.RaftLock/Acquire", asked);
    for status in [lockd.expect_err("full"), raftlock.expect_err("full")] {
        assert!(status.code() == tonic::Code::ResourceExhausted && status.message().contains(KEY), "{status:?}");
    }
    let asked = TryLockRequest { name: "more".into(), ..TryLockRequest::default() };
    let ldlm: Result<LockResponse, _> = grpc.call("/ldlm.LDLM/TryLock", asked);
    let told = ldlm.map_or_else(|status| status.message().to_owned(), |answer| answer.error.expect("why").message);
    assert!(told.contains(KEY), "{told}");
    assert!(metric(&server, "latchd_table_full_refusals_total") > 4.0);
    assert!(metric(&server, "latchd_table_bytes ") <= metric(&server, "latchd_table_bytes_max "));
    let renewal = json!({"name": "mine", "key": hold["key"], "lock_timeout_seconds": 700});
    assert_eq!(client.post("/v1/renew", &renewal).json()["locked"], true);
    assert_eq!(client.get("/v1/locks/mine").status, 200);
    assert_eq!(client.post("/unlock", &json!({"lock_id": first["lock_id"]})).status, 200);
    assert_eq!(client.delete("/session").status, 200);
    assert_eq!(take(&mut client, ENOUGH + 1).status, 200, "there is room again");
}

#[test]
fn restart_above_table_limit_serves_releases_and_reads() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let spec = Spec::durable(directory.path()).api_key(ADMIN);
    let server = spec.start();
    let mut client = with(&server, ADMIN);
    let holds: Vec<_> = (0..40).map(|number| take(&mut client, number).json()).collect();
    server.stop();
    let server = spec.configuration("[locks]\ntable_bytes_max = \"16KiB\"\n").start();
    let mut client = with(&server, ADMIN);
    let refused = take(&mut client, 100);
    assert!(refused.status == 503 && refused.text().contains(KEY), "{}", refused.text());
    assert_eq!(client.get("/v1/locks?limit=50").json()["locks"].as_array().map(Vec::len), Some(40));
    for hold in &holds[..38] {
        assert_eq!(client.post("/unlock", &json!({"lock_id": hold["lock_id"]})).status, 200);
    }
    assert_eq!(take(&mut client, 101).status, 200);
}

#[test]
fn credential_is_held_to_its_share() {
    let pools =
        "[sessions]\ncount_max = 80\n[locks]\nholds_max = 120\nrequests_max = 60\n[quotas]\naddress_percent = 100\n";
    let server = Spec::in_memory().api_key(ADMIN).configuration(configuration(pools)).start();
    let mut ci = with(&server, "ci");
    let full = |(done, answer): (usize, Response), share: usize, key: &str| {
        let told = answer.text();
        assert_eq!((done, answer.status), (share, 429), "{told}");
        assert!(told.contains(key) && told.contains("quotas.credential_percent") && told.contains(&share.to_string()));
    };
    full(until_refused(|_| ci.post("/session", &json!({})), 201), 64, "sessions.count_max");
    let mut keyed = |number: usize| {
        let body = json!({"resource": format!("k{number}"), "ttl": 600, "request_id": format!("{number}")});
        ci.post("/lock", &body)
    };
    full(until_refused(&mut keyed, 200), 48, "locks.requests_max");
    full(until_refused(|number| take(&mut ci, number), 200).map_first(48), 96, "locks.holds_max");
    let mut other = with(&server, "other");
    assert_eq!(other.post("/session", &json!({})).status, 201);
    assert_eq!(other.post("/lock", &json!({"resource": "o", "ttl": 600, "request_id": "o"})).status, 200);
    assert!(metric(&server, "latchd_share_full_refusals_total") > 2.5);
}

/// Those that were there before count too.
trait MapFirst {
    fn map_first(self, before: usize) -> Self;
}

impl MapFirst for (usize, Response) {
    fn map_first(self, before: usize) -> Self {
        (self.0 + before, self.1)
    }
}

#[test]
fn one_address_takes_its_share_wherever_it_connects_from_a_trusted_proxy() {
    let pools =
        "[sessions]\ncount_max = 40\n[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[access]\nallow_anonymous = true\n";
    let server = Spec::in_memory().configuration(pools).start();
    let from = |address: &str| Client::plain(&server).with_header("X-Forwarded-For", address);
    let (mut first, mut neighbour, mut other) = (from("2001:db8::1"), from("2001:db8::2"), from("2001:db8:0:1::1"));
    let (taken, refused) = until_refused(|_| first.post("/session", &json!({})), 201);
    assert_eq!((taken, refused.status), (20, 429), "{}", refused.text());
    assert!(refused.text().contains("quotas.address_percent"), "{}", refused.text());
    assert_eq!(neighbour.post("/session", &json!({})).status, 429, "of the same /64");
    assert_eq!(other.post("/session", &json!({})).status, 201);
}
