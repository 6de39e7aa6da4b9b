//! Rates: who sends too fast is told when to come back, keeps what it has, and slows nobody else.

use super::rights::{KEY, PART, keys, metric, with};
use crate::support::client::Client;
use crate::support::grpc::GrpcClient;
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::redis::{RELEASE, RedisClient, Reply};
use crate::support::spec::Spec;
use axum::http::Method;
use latchd::dialects::ldlm::proto::{LockResponse, TryLockRequest, UnlockRequest, UnlockResponse};
use latchd::http::rates::{KEEP_OR_END, keeps_or_ends};
use serde_json::{Value, json};

fn start() -> Server {
    // After a pause of a second, one more: a slow machine needs that long for a handful of requests.
    let rates = r#"[quotas]
rates = [
  { credential = "part", requests_per_second = 1, burst = 20 },
  { prefix = "build/", requests_per_second = 1, burst = 2 },
]
"#;
    Spec::in_memory().redis().api_key(KEY).configuration(keys() + rates).start()
}

/// The first refusal, which comes soon.
fn exhaust(mut send: impl FnMut() -> Response) -> Value {
    let refused = (0..200).map(|_| send()).find(|answer| answer.status == 429).expect("a refusal");
    assert_eq!(refused.header("retry-after"), Some("1"), "{}", refused.text());
    let told = refused.json();
    assert_eq!((&told["limit"], &told["config_key"]), (&json!(1), &json!("quotas.rates")));
    told
}

#[test]
fn refused_caller_is_told_when_to_come_back_and_keeps_its_locks_in_every_protocol() {
    let server = start();
    let mut caller = with(&server, PART);
    assert_eq!(caller.post("/session", &json!({})).status, 201);
    let lock = |name: &str| json!({"name": name, "lock_timeout_seconds": 600});
    let key = caller.post("/v1/lock", &lock("part/a")).json()["key"].clone();
    let mut redis = RedisClient::with_key(&server, PART);
    for name in ["part/r", "part/s"] {
        assert_eq!(redis.ask(&["SET", name, "mine", "NX", "PX", "600000"]), Reply::Status("OK".to_owned()));
    }
    let grpc = GrpcClient::plain(&server).with_metadata("x-api-key", PART);
    let asked = TryLockRequest { name: "part/g".to_owned(), ..Default::default() };
    let held: LockResponse = grpc.call("/ldlm.LDLM/TryLock", asked.clone()).expect("it is free");
    let told = exhaust(|| caller.get("/v1/locks/part%2Fa"));
    assert_eq!(told["code"], "rate-exceeded");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("credential part")), "{told}");
    // Each asks at once after a refusal, and the next second has not come yet, or has been used up.
    exhaust(|| caller.get("/v1/locks/part%2Fa"));
    let renewed = caller.post("/v1/renew", &json!({"name": "part/a", "key": key, "lock_timeout_seconds": 600}));
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    let refused = (0..200).find_map(|_| match redis.ask(&["GET", "part/r"]) {
        Reply::Error(text) => Some(text),
        _ => None,
    });
    let refused = refused.expect("a refusal");
    assert!(refused.starts_with("ERR rate-exceeded: ") && refused.ends_with("; try again in 1 s"), "{refused}");
    assert_eq!(redis.ask(&["EVAL", RELEASE, "1", "part/r", "mine"]), Reply::Integer(1));
    assert_eq!(redis.ask(&["DEL", "part/s"]), Reply::Integer(1));
    let refused = (0..200).find_map(|_| grpc.call::<_, LockResponse>("/ldlm.LDLM/TryLock", asked.clone()).err());
    assert_eq!(refused.expect("a refusal").code(), tonic::Code::ResourceExhausted);
    let asked = UnlockRequest { name: "part/g".to_owned(), key: held.key };
    assert!(grpc.call::<_, UnlockResponse>("/ldlm.LDLM/Unlock", asked).expect("it passes").unlocked);
    assert_eq!(caller.post("/v1/unlock", &json!({"name": "part/a", "key": key})).json()["unlocked"], true);
    assert_eq!(caller.delete("/session").status, 200);
    let mut other = with(&server, KEY);
    assert!((0..50).all(|_| other.get("/v1/locks").status == 200), "another credential has no rate");
    assert!(metric(&server, "latchd_rate_requests_total{quota=\"credential part\",result=\"refused\"}") >= 4.0);
}

#[test]
fn prefix_has_one_rate_for_all_callers_and_all_names_of_a_request() {
    let server = start();
    let mut caller = with(&server, KEY);
    assert_eq!(caller.post("/session", &json!({})).status, 201);
    let mut number = 0;
    let told = exhaust(|| {
        number += 1;
        caller.post("/v1/lock", &json!({"names": [format!("x{number}"), format!("build/{number}")]}))
    });
    assert_eq!(told["reason"], "rate-exceeded");
    assert!(told["message"].as_str().is_some_and(|message| message.contains("prefix build/")), "{told}");
    let campaign = json!({"value": "me", "lease_seconds": 60});
    let told = exhaust(|| caller.post("/v1/elections?name=build/leader", &campaign));
    assert_eq!((&told["code"], &told["field"]), (&json!("rate-exceeded"), &json!("name")));
    assert_eq!(caller.post("/v1/lock", &json!({"name": "buildings"})).status, 200);
    assert_eq!(caller.get("/v1/locks?prefix=build/").status, 200);
}

#[test]
fn bad_rates_are_refused_at_the_start() {
    for (entry, word) in [
        (r#"{ credential = "ci", prefix = "a/", requests_per_second = 1 }"#, "prefix"),
        (r#"{ requests_per_second = 1 }"#, "credential"),
        (r#"{ credential = "ci", requests_per_second = 0.5 }"#, "a whole number of at least 1"),
        (r#"{ credential = "ci", requests_per_second = 1, burst = 0 }"#, "a whole number of at least 1"),
        (r#"{ prefix = "a/", requests_per_second = 1, holds = 3 }"#, "holds"),
        (
            r#"{ credential = "*", requests_per_second = 1 }, { credential = "*", requests_per_second = 2 }"#,
            "one rate of each credential",
        ),
    ] {
        let spec = Spec::in_memory().configuration(format!("[quotas]\nrates = [{entry}]\n"));
        let Err(output) = spec.try_start() else { panic!("it started with {entry}") };
        assert!(output.contains("quotas.rates") && output.contains(word), "{entry}: {output}");
    }
}

#[test]
fn every_request_that_ends_or_renews_something_always_passes() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/latchd.json")).expect("the document");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let ends = ["Release", "Renew", "Close", "Resign", "End", "Thaw", "Take a node", "Share a lock that"];
    let mut ending = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let summary = operation["summary"].as_str().expect("a summary");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let path = path.replace("{name}", "x");
            let expected = ends.iter().any(|word| summary.starts_with(word));
            assert_eq!(keeps_or_ends(&method, &path), expected, "{method} {path}: {summary}");
            ending += usize::from(expected);
        }
    }
    assert!(ending > 10);
    let server = Spec::in_memory().start();
    for path in KEEP_OR_END {
        assert_ne!(Client::plain(&server).post(path, &json!({})).status, 404, "{path} is none");
    }
}
