//! Quotas: who has as many holds, sessions or waiters as its operator allows is told so, and nobody else is held up.

use super::rights::{KEY, PART, keys, metric, with};
use crate::support::grpc::GrpcClient;
use crate::support::process::Server;
use crate::support::redis::{RedisClient, Reply};
use crate::support::spec::Spec;
use latchd::dialects::ldlm::proto::{LockResponse, TryLockRequest};
use serde_json::{Value, json};

fn start() -> Server {
    let quotas = r#"[quotas]
limits = [
  { credential = "part", holds_max = 3, sessions_max = 2, waiters_max = 1 },
  { prefix = "build/", holds_max = 2 },
]
"#;
    Spec::in_memory().redis().api_key(KEY).configuration(keys() + quotas).start()
}

fn lock(name: &str) -> Value {
    json!({"name": name, "lock_timeout_seconds": 600})
}

#[test]
fn credential_with_a_full_quota_is_told_so_in_every_protocol_and_others_are_served() {
    let server = start();
    let [mut caller, mut second, mut third] = [(); 3].map(|()| with(&server, PART));
    for client in [&mut caller, &mut second] {
        assert_eq!(client.post("/session", &json!({})).status, 201);
    }
    let refused = third.post("/session", &json!({}));
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{}", refused.text());
    let told = refused.json();
    assert_eq!((&told["limit"], &told["config_key"]), (&json!(2), &json!("quotas.limits")));
    let message = "at most 2 sessions: the sessions_max of credential part (quotas.limits)";
    assert_eq!(told["message"], message);
    let mut other = with(&server, KEY);
    assert_eq!(other.post("/session", &json!({})).status, 201);
    assert_eq!(other.post("/v1/lock", &lock("part/other")).json()["locked"], true);
    for name in ["part/a", "part/b", "part/c"] {
        assert_eq!(caller.post("/v1/lock", &lock(name)).json()["locked"], true, "{name}");
    }
    let told = caller.post("/v1/lock", &lock("part/d")).json();
    assert_eq!((&told["locked"], &told["error"]["config_key"]), (&json!(false), &json!("quotas.limits")), "{told}");
    assert!(
        told["error"]["message"].as_str().is_some_and(|text| text.contains("the holds_max of credential part")),
        "{told}"
    );
    let mut redis = RedisClient::with_key(&server, PART);
    let Reply::Error(text) = redis.ask(&["SET", "part/r", "mine", "NX", "PX", "60000"]) else { panic!("it is full") };
    assert!(text.starts_with("ERR quota-full: at most 3 holds and waiters"), "{text}");
    let grpc = GrpcClient::plain(&server).with_metadata("x-api-key", PART);
    let asked = TryLockRequest { name: "part/g".to_owned(), ..Default::default() };
    let refused = grpc.call::<_, LockResponse>("/ldlm.LDLM/TryLock", asked).expect_err("it is full");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert_eq!(other.post("/v1/lock", &lock("part/d")).json()["locked"], true);
    // What an operator sees.
    let used = |counted: &str| {
        metric(&server, &format!("latchd_quota_used{{quota=\"credential part\",counted=\"{counted}\"}}"))
    };
    assert_eq!([used("holds_max"), used("sessions_max"), used("waiters_max")], [3.0, 2.0, 0.0]);
    assert!(metric(&server, "latchd_quota_full_refusals_total") >= 4.0);
    let page = caller.get("/ui/rights").text();
    assert!(page.contains("<h2>Quotas</h2>") && page.contains("holds and waiters"), "{page}");
    // A session that ends gives all of it back.
    assert_eq!(caller.delete("/session").status, 200);
    assert_eq!(third.post("/session", &json!({})).status, 201);
    assert_eq!(third.post("/v1/lock", &lock("part/e")).json()["locked"], true);
}

#[test]
fn prefix_has_one_quota_for_all_callers() {
    let server = start();
    let mut caller = with(&server, KEY);
    assert_eq!(caller.post("/session", &json!({})).status, 201);
    let two = json!({"names": ["build/a", "build/b"], "lock_timeout_seconds": 600});
    assert_eq!(caller.post("/v1/lock", &two).json()["locked"], true);
    let told = caller.post("/v1/lock", &lock("build/c")).json();
    assert!(
        told["error"]["message"].as_str().is_some_and(|text| text.contains("the holds_max of prefix build/")),
        "{told}"
    );
    assert_eq!(caller.post("/v1/lock", &lock("buildings")).json()["locked"], true);
}

#[test]
fn bad_quotas_are_refused_at_the_start() {
    for (entry, word) in [
        (r#"{ credential = "ci", prefix = "a/", holds_max = 1 }"#, "or prefix"),
        (r#"{ holds_max = 1 }"#, "expected"),
        (r#"{ credential = "ci" }"#, "one or more"),
        (r#"{ credential = "password-1", holds_max = 1 }"#, "is no name of an API key"),
        (r#"{ credential = "ci", holds_max = 0.5 }"#, "a whole number of at least 1"),
        (r#"{ prefix = "a/", sessions_max = 3 }"#, "without sessions_max"),
        (r#"{ credential = "ci", requests_per_second = 3 }"#, "requests_per_second"),
        (
            r#"{ credential = "*", holds_max = 1 }, { credential = "*", waiters_max = 2 }"#,
            "one quota of each credential",
        ),
    ] {
        let spec = Spec::in_memory().configuration(format!("[quotas]\nlimits = [{entry}]\n"));
        let Err(output) = spec.try_start() else { panic!("it started with {entry}") };
        assert!(output.contains("quotas.limits") && output.contains(word), "{entry}: {output}");
    }
}
