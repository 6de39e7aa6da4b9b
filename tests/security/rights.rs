//! Which proof opens which holds, who may, and what a refusal costs.

use crate::support::client::Client;
use crate::support::grpc::GrpcClient;
use crate::support::process::Server;
use crate::support::spec::Spec;
use latchd::dialects::ldlm::proto::{LockResponse, TryLockRequest};
use latchd::dialects::raftlock::proto::{HealthRequest, HealthResponse};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const KEY: &str = "a key of the tests";
pub const READER: &str = "a reader";
pub const PART: &str = "a part";
pub const ADMIN_OF_PART: &str = "an admin of a part";
/// Of an admin of every name, until its end.
pub const EXPIRED: &str = "a key that has ended";
const RELEASE: &str = "/releaselock?lockname=a&token=";

pub fn keys() -> String {
    let entry = |name: &str, secret: &str, rest: &str| {
        let digest: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{ name = \"{name}\", sha256 = \"{digest}\", {rest} }}")
    };
    let reader = entry("reader", READER, "role = \"read-only\"");
    let part = entry("part", PART, "role = \"client\", prefixes = [\"part/\"]");
    let admin = entry("admin-of-part", ADMIN_OF_PART, "role = \"admin\", prefixes = [\"part/\"]");
    let expired = entry("expired", EXPIRED, "role = \"admin\", expires = 2020-01-01");
    format!("[access]\nkeys = [{reader}, {part}, {admin}, {expired}]\n")
}

pub fn with(server: &Server, secret: &str) -> Client {
    Client::plain(server).with_header("X-API-Key", secret)
}

pub fn metric(server: &Server, name: &str) -> f64 {
    let text = with(server, KEY).get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

fn take_in_get_lock(server: &Server) -> String {
    let taken: Value =
        serde_json::from_str(&with(server, KEY).get("/getlock?lockname=a&lifetime=600").text()).expect("JSON");
    taken["sessiontoken"].as_str().expect("a token").to_owned()
}

#[test]
fn release_without_credential_ends_only_holds_of_its_dialect() {
    let server = Spec::in_memory().api_key(KEY).start();
    let mut caller = with(&server, KEY);
    assert_eq!(caller.post("/session", &json!({})).status, 201);
    let taken: Value = serde_json::from_str(&caller.post("/v1/lock", &json!({"name": "a"})).text()).expect("JSON");
    let key = taken["key"].as_str().expect("a key").replace('-', "");
    let refused = Client::plain(&server).delete(&format!("{RELEASE}{key}"));
    assert_eq!(refused.status, 400, "{}", refused.text());
    let released = with(&server, KEY).delete(&format!("{RELEASE}{key}"));
    assert_eq!(released.status, 200, "{}", released.text());
    let token = take_in_get_lock(&server);
    assert_eq!(Client::plain(&server).delete(&format!("{RELEASE}{token}")).status, 200);
}

#[test]
fn release_without_credential_is_refused_when_disabled() {
    let spec = Spec::in_memory().api_key(KEY).configuration("[compat]\nrelease_without_credential = false\n");
    let server = spec.start();
    let token = take_in_get_lock(&server);
    assert_eq!(Client::plain(&server).delete(&format!("{RELEASE}{token}")).status, 400);
    assert_eq!(with(&server, KEY).delete(&format!("{RELEASE}{token}")).status, 200);
}

#[test]
fn refused_requests_write_no_log_entry() {
    let server = Spec::in_memory().api_key(KEY).start();
    let _token = take_in_get_lock(&server);
    let before = metric(&server, "latchd_commands_total");
    let (mut nobody, mut caller) = (Client::plain(&server), with(&server, KEY));
    for _ in 0..20 {
        assert_eq!(nobody.delete(&format!("{RELEASE}{}", "0".repeat(32))).status, 400);
        assert_eq!(caller.delete(&format!("{RELEASE}{}", "1".repeat(32))).status, 400);
    }
    let long = nobody.delete(&format!("/releaselock?lockname={}&token=x", "n".repeat(9000)));
    assert!(long.status == 400 && long.text().contains("lockname"), "{}", long.text());
    assert!((metric(&server, "latchd_commands_total") - before).abs() < 0.5, "a refusal was written");
}

#[test]
fn read_only_key_neither_opens_nor_ends_sessions() {
    let server = Spec::in_memory().api_key(KEY).configuration(keys()).start();
    let mut owner = with(&server, KEY);
    assert_eq!(owner.post("/session", &json!({})).status, 201);
    let mut reader = with(&server, READER);
    reader.set_cookie("ldlm-session", owner.cookie("ldlm-session").expect("a cookie"));
    assert_eq!(reader.delete("/session").status, 403);
    let grpc = GrpcClient::plain(&server).with_metadata("x-api-key", READER);
    let refused: LockResponse =
        grpc.call("/ldlm.LDLM/TryLock", TryLockRequest { name: "a".into(), ..TryLockRequest::default() }).expect("OK");
    assert!(!refused.locked);
    assert!((metric(&server, "latchd_sessions") - 1.0).abs() < 0.5, "the owner's alone");
    assert_eq!(owner.delete("/session").status, 200);
}

#[test]
fn connection_sessions_through_a_proxy_are_refused_with_the_reason_unless_allowed() {
    let configuration = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let take = |more: &str| {
        let server = Spec::in_memory().api_key(KEY).configuration(format!("{configuration}{more}")).start();
        let grpc = GrpcClient::plain(&server).with_metadata("x-api-key", KEY);
        let asked = TryLockRequest { name: "a".into(), ..TryLockRequest::default() };
        let answer: LockResponse = grpc.call("/ldlm.LDLM/TryLock", asked).expect("status OK");
        answer
    };
    let refused = take("");
    let why = refused.error.expect("a reason").message;
    assert!(!refused.locked && why.contains("proxy") && why.contains("sessions.connections_via_proxy"), "{why}");
    assert!(take("[sessions]\nconnections_via_proxy = true\n").locked);
}

#[test]
fn prefix_key_sees_no_service_wide_counts() {
    let server = Spec::in_memory().api_key(KEY).configuration(keys()).start();
    let _token = take_in_get_lock(&server);
    let holds = |secret: &str| {
        let grpc = GrpcClient::plain(&server).with_metadata("x-api-key", secret);
        let health: HealthResponse = grpc.call("/raftlock.RaftLock/Health", HealthRequest::default()).expect("OK");
        health.health_info.expect("health").current_active_locks
    };
    assert_eq!((holds(KEY), holds(PART)), (1, 0));
}

#[test]
fn hold_of_several_names_needs_the_right_to_each() {
    let server = Spec::in_memory().api_key(KEY).configuration(keys()).start();
    let mut owner = with(&server, KEY);
    assert_eq!(owner.post("/session", &json!({})).status, 201);
    let body = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    let taken = body(owner.post("/v1/lock", &json!({"names": ["part/a", "other"]})).text());
    let key = taken["key"].as_str().expect("a key");
    let mut part = with(&server, PART);
    assert_eq!(part.post("/session", &json!({})).status, 201);
    let to = part.cookie("ldlm-session").expect("a session").to_owned();
    let moved = part.post("/v1/transfer", &json!({"name": "part/a", "key": key, "to_session": to}));
    assert_eq!(moved.status, 403, "{}", moved.text());
    let mut admin = with(&server, ADMIN_OF_PART);
    let target = format!("/v1/holds?name=part/a&key={key}&reason=test");
    let forced = admin.delete(&target);
    assert!(forced.status == 403 && !forced.text().contains("other"), "{}", forced.text());
    let forced = body(owner.delete(&target).text());
    assert_eq!(forced["names"], json!(["part/a", "other"]), "{forced}");
    for name in ["part%2Fa", "other"] {
        assert_eq!(owner.get(&format!("/v1/locks/{name}")).status, 404, "{name}");
    }
}
