//! Refusals by a limit: each names the key of `config.toml` that sets it, and LDLM's clients see it in LDLM's shape.

use super::dialect_client::{DialectClient, Protocol};
use crate::support::client::Client;
use crate::support::grpc::GrpcClient;
use crate::support::spec::Spec;
use latchd::dialects::ldlm::proto::{ErrorCode, LockResponse, TryLockRequest};
use serde_json::{Value, json};

#[test]
fn ldlm_rest_reports_limits_with_status_200() {
    let server = Spec::in_memory().start();
    let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
    let long = "n".repeat(513);
    let many: serde_json::Map<_, _> = (0..33).map(|at| (format!("k{at}"), "v".into())).collect();
    let rows: [(Value, &str, &str, &str, u64); 6] = [
        (json!({"name": "a", "size": 10_001}), "InvalidLockSize", "size", "locks.size_max", 10_000),
        (json!({"name": long}), "Unknown", "name", "locks.name_bytes_max", 512),
        (
            json!({"name": "a", "lock_timeout_seconds": 2_592_001}),
            "Unknown",
            "lock_timeout_seconds",
            "locks.lease_max",
            2_592_000,
        ),
        (
            json!({"name": "a", "wait_timeout_seconds": 86_401}),
            "Unknown",
            "wait_timeout_seconds",
            "locks.wait_max",
            86_400,
        ),
        (json!({"name": "a", "metadata": many}), "Unknown", "metadata", "locks.metadata_entries_max", 32),
        (
            json!({"name": "a", "metadata": {"k": "v".repeat(257)}}),
            "Unknown",
            "metadata",
            "locks.metadata_value_bytes_max",
            256,
        ),
    ];
    for (body, code, field, key, limit) in rows {
        let answer = client.post("/v1/lock", &body);
        assert_eq!(answer.status, 200, "{key}: {}", answer.text());
        assert!(answer.cookie("ldlm-session").is_some(), "the session goes on");
        let answer = answer.json();
        let (locked, error) = (&answer["locked"], &answer["error"]);
        assert_eq!((locked, &error["code"], &error["field"]), (&json!(false), &json!(code), &json!(field)), "{answer}");
        assert_eq!((&error["config_key"], &error["limit"]), (&json!(key), &json!(limit)), "{answer}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(key) && message.contains(&limit.to_string()), "{message}");
    }
    // A renewal beyond a limit is invalid, so the answer is not `locked: false`.
    let renewal = client.post("/v1/renew", &json!({"name": "a", "key": "k", "lock_timeout_seconds": 2_592_001}));
    assert_eq!(renewal.status, 400);
    assert!(renewal.text().contains("locks.lease_max"), "{}", renewal.text());
}

#[test]
fn ldlm_grpc_reports_too_large_size_as_invalid() {
    let server = Spec::in_memory().start();
    let client = GrpcClient::plain(&server);
    let ask = |asked: TryLockRequest| -> LockResponse { client.call("/ldlm.LDLM/TryLock", asked).expect("status OK") };
    let error = ask(TryLockRequest { name: "a".into(), size: Some(10_001), ..TryLockRequest::default() }).error;
    let error = error.expect("an error");
    assert_eq!(error.code(), ErrorCode::InvalidLockSize);
    assert!(error.message.contains("locks.size_max"), "{}", error.message);
    let error = ask(TryLockRequest { name: "n".repeat(513), ..TryLockRequest::default() }).error.expect("an error");
    assert_eq!(error.code(), ErrorCode::Unknown);
    assert!(error.message.contains("locks.name_bytes_max"), "{}", error.message);
}

#[test]
fn http_dialects_name_the_config_key_of_a_limit() {
    let server = Spec::in_memory().configuration("[server]\nbody_bytes_max = \"1KiB\"\n").start();
    let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
    let long = "n".repeat(513);
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(1_024));
    let rows = [
        ("GET", format!("/getlock?lockname={long}"), String::new(), "locks.name_bytes_max"),
        ("GET", "/getlock?lockname=a&lifetime=2592001".to_owned(), String::new(), "locks.lease_max"),
        ("GET", "/getlock?lockname=a&timeout=86401".to_owned(), String::new(), "locks.wait_max"),
        ("POST", "/lock".to_owned(), json!({"resource": long}).to_string(), "locks.name_bytes_max"),
        ("POST", "/lock".to_owned(), json!({"resource": "a", "ttl": 2_592_001}).to_string(), "locks.lease_max"),
        ("POST", "/lock".to_owned(), json!({"resource": "a", "wait": 86_401}).to_string(), "locks.wait_max"),
        (
            "POST",
            "/session".to_owned(),
            json!({"idle_timeout_seconds": 2_592_001}).to_string(),
            "sessions.idle_timeout_max",
        ),
        ("GET", format!("/v1/locks?prefix={long}"), String::new(), "locks.name_bytes_max"),
        ("GET", format!("/v1/locks?name={long}"), String::new(), "locks.name_bytes_max"),
        ("POST", "/v1/lock".to_owned(), large.clone(), "server.body_bytes_max"),
        ("POST", "/lock".to_owned(), large.clone(), "server.body_bytes_max"),
        ("LOCK", "/terraform/a".to_owned(), large, "server.body_bytes_max"),
        ("LOCK", format!("/terraform/{long}"), json!({"ID": "x"}).to_string(), "locks.name_bytes_max"),
        (
            "LOCK",
            "/terraform/a".to_owned(),
            json!({"ID": "x", "Info": long}).to_string(),
            "locks.metadata_value_bytes_max",
        ),
    ];
    for (method, target, body, key) in rows {
        let answer = client.send(method, &target, body.as_bytes());
        assert!((400..500).contains(&answer.status), "{method} {target}: {}", answer.status);
        assert!(answer.text().contains(key), "{method} {target}: {} does not name {key}", answer.text());
    }
}

#[test]
fn count_limits_name_their_config_keys() {
    let spec = Spec::in_memory().configuration(
        "[sessions]\ncount_max = 2\nholds_max = 1\n[locks]\nwaiters_per_lock_max = 1\nrequests_max = 1\n",
    );
    let server = spec.start();
    let mut one = DialectClient::new(Protocol::SessionsV1, &server).client;
    assert_eq!(one.post("/v1/lock", &json!({"name": "a", "request_id": "x"})).json()["locked"], true);
    let second = one.post("/v1/lock", &json!({"name": "b"}));
    assert!(second.status == 200 && second.text().contains("sessions.holds_max"), "{}", second.text());
    let mut two = DialectClient::new(Protocol::SessionsV1, &server).client;
    let kept = two.post("/v1/lock", &json!({"name": "b", "request_id": "y"}));
    assert!(kept.status == 503 && kept.text().contains("locks.requests_max"), "{}", kept.text());
    let third = Client::tls(&server).send("POST", "/session", b"");
    assert!(third.status == 503 && third.text().contains("sessions.count_max"), "{}", third.text());
}

#[test]
fn ldlm_rest_reports_full_pools_with_status_200() {
    let spec = Spec::in_memory().configuration("[sessions]\nholds_max = 1\n[locks]\nholds_max = 2\n");
    let server = spec.start();
    let mut one = DialectClient::new(Protocol::SessionsV1, &server).client;
    let mut two = DialectClient::new(Protocol::SessionsV1, &server).client;
    let mut three = DialectClient::new(Protocol::SessionsV1, &server).client;
    let full = |client: &mut Client, name: &str, key: &str| {
        let answer = client.post("/v1/lock", &json!({"name": name}));
        let (status, body) = (answer.status, answer.json());
        assert_eq!((status, &body["locked"], &body["name"]), (200, &json!(false), &json!(name)), "{body}");
        assert_eq!((&body["error"]["code"], &body["error"]["config_key"]), (&json!("Unknown"), &json!(key)), "{body}");
        assert!(body["error"]["message"].as_str().is_some_and(|message| message.contains(key)), "{body}");
        assert!(body["key"].as_str().is_some_and(|key| !key.is_empty()), "{body}");
    };
    assert_eq!(one.post("/v1/lock", &json!({"name": "a"})).json()["locked"], true);
    full(&mut one, "c", "sessions.holds_max");
    assert_eq!(two.post("/v1/lock", &json!({"name": "b"})).json()["locked"], true);
    full(&mut three, "c", "locks.holds_max");
    let keyed = three.post("/v1/lock", &json!({"name": "c", "request_id": "retried"}));
    assert!(keyed.status == 503 && keyed.text().contains("locks.holds_max"), "{}", keyed.text());
}

#[test]
fn config_keys_in_refusals_exist() {
    let known = latchd::config::DEFAULTS.parse::<toml::Table>().expect("TOML");
    let source = [
        "domain/refusal.rs",
        "http/failure.rs",
        "http/auth.rs",
        "http/app.rs",
        "api/inspect/query.rs",
        "api/events/mod.rs",
    ];
    let mut named = 0;
    for file in source {
        let path = format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the source");
        for word in text.split('"') {
            let Some((section, key)) = word.split_once('.') else { continue };
            if matches!(section, "locks" | "sessions" | "quotas" | "server" | "storage" | "access" | "events") {
                assert!(known[section].get(key).is_some(), "{word} in {file}");
                named += 1;
            }
        }
    }
    assert!(named > 15, "the keys stand elsewhere by now");
}
