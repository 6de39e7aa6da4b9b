//! `/v1/freezes`, and what each dialect tells whoever meets a freeze.

use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::grpc::GrpcClient;
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::spec::Spec;
use latchd::dialects::kufuli::proto::{Request as KufuliRequest, Response as KufuliResponse};
use latchd::dialects::ldlm::proto::{LockResponse, TryLockRequest};
use latchd::dialects::lockd::proto::{LockName, LockResult};
use latchd::dialects::raftlock::proto::{AcquireRequest, AcquireResponse};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const REASON: &str = "release 7, ticket 4411";

fn put(client: &mut Client, target: &str, body: &Value) -> Response {
    client.send("PUT", target, body.to_string().as_bytes())
}

fn freeze_all_under(client: &mut Client, prefix: &str) -> Value {
    let asked = json!({"reason": REASON, "for_seconds": 3600, "match": "prefix"});
    let frozen = put(client, &format!("/v1/freezes?target={prefix}"), &asked);
    assert_eq!(frozen.status, 200, "{}", frozen.text());
    body(&frozen)
}

fn grpc_answers(server: &Server) -> Vec<(&'static str, String)> {
    let grpc = GrpcClient::plain(server);
    let name = || "deploy/a".to_owned();
    let asked = TryLockRequest { name: name(), lock_timeout_seconds: Some(60), ..Default::default() };
    let ldlm: LockResponse = grpc.call("/ldlm.LDLM/TryLock", asked).expect("OK");
    assert!(!ldlm.locked && ldlm.error.is_none(), "older clients see a lock that is held");
    let lockd: LockResult = grpc.call("/lockapi.Locking/Lock", LockName { name: name() }).expect("OK");
    assert!(!lockd.success);
    let asked = KufuliRequest { resource: name(), service_id: "me".into() };
    let kufuli: KufuliResponse = grpc.call("/api.Api/RequestLock", asked).expect("OK");
    let ttl = Some(prost_types::Duration { seconds: 9, nanos: 0 });
    let asked = AcquireRequest { lock_id: name(), client_id: "me".into(), ttl, ..Default::default() };
    let raftlock: AcquireResponse = grpc.call("/raftlock.RaftLock/Acquire", asked).expect("OK");
    let error = raftlock.error.expect("an error").message;
    let pause = raftlock.backoff_advice.and_then(|advice| advice.initial_backoff).expect("advice");
    assert_eq!(pause.seconds, 30, "not sooner again under a freeze of an hour");
    vec![("ldlm", ldlm.frozen), ("lockd", lockd.frozen), ("kufuli", kufuli.error), ("raftlock", error)]
}

#[test]
fn every_dialect_with_room_for_a_text_tells_reason_and_end() {
    let server = Spec::in_memory().configuration("[locks]\nkufuli_wait = \"0s\"\n").start();
    let mut client = with_session(Client::plain(&server));
    let frozen = freeze_all_under(&mut client, "deploy/");
    assert_eq!(
        (&frozen["match"], &frozen["holds"], &frozen["reason"]),
        (&json!("prefix"), &json!("drain"), &json!(REASON))
    );
    let tried = body(&client.post("/v1/lock", &json!({"name": "deploy/a"})));
    assert_eq!(
        (&tried["locked"], &tried["error"], &tried["frozen"]["reason"]),
        (&json!(false), &Value::Null, &json!(REASON))
    );
    let waited = body(
        &client.post("/v1/lock", &json!({"name": "deploy/a", "wait_timeout_seconds": 0.05, "lock_timeout_seconds": 9})),
    );
    assert_eq!((&waited["error"]["code"], &waited["frozen"]["target"]), (&json!("LockWaitTimeout"), &json!("deploy/")));
    let campaign = json!({"value": "me", "lease_seconds": 9});
    let elected = body(&client.post("/v1/elections?name=deploy/a", &campaign));
    assert_eq!((&elected["elected"], &elected["frozen"]["reason"]), (&json!(false), &json!(REASON)));
    let mut told = grpc_answers(&server);
    let got = client.get("/getlock?lockname=deploy/a");
    assert!(got.text().contains("\"lockacquired\":false"), "{}", got.text());
    let taken = client.post("/lock", &json!({"resource": "deploy/a", "ttl": 9}));
    assert_eq!((taken.status, taken.header("retry-after").is_some()), (409, true));
    let state = put(&mut client, "/terraform/deploy/a", &json!({"ID": "x"}));
    let (id, created) = (body(&state)["ID"].clone(), body(&state)["Created"].clone());
    assert!(id.as_str().is_some_and(|id| id.starts_with("latchd-frozen: ") && id.ends_with(REASON)), "{id}");
    assert!(created.as_str().is_some_and(|moment| humantime::parse_rfc3339(moment).is_ok()), "{}", state.text());
    assert_eq!(state.status, 423);
    told.extend([
        ("getlock", got.text()),
        ("/lock", taken.text()),
        ("terraform", state.text()),
        ("sessions", waited.to_string()),
    ]);
    for (dialect, text) in told {
        assert!(text.contains(REASON) && text.contains("frozen until 20"), "{dialect}: {text}");
    }
    freeze_all_under(&mut client, "named");
    let named = client.post("/lock/named", &Value::Null);
    assert_eq!((named.status, named.text().contains(REASON)), (409, true));
    problem(&client.get("/v1/locks?name=deploy/a&cursor=x"), 400, "invalid-field");
    let shown = problem(&client.get("/v1/locks/deploy%2Fa"), 404, "no-such-lock");
    assert!(shown["detail"].as_str().is_some_and(|text| text.contains(REASON)), "{shown}");
}

#[test]
fn freezes_are_listed_thawed_and_refused_where_they_cannot_be() {
    let server = Spec::in_memory().configuration("[locks]\nfreezes_max = 2\n").start();
    let mut client = with_session(Client::plain(&server));
    let whole = json!({"reason": REASON, "for_seconds": 60});
    for (target, change, field) in [
        ("?target=a", json!({"reason": null}), "reason"),
        ("?target=a", json!({"reason": " "}), "reason"),
        ("?target=a", json!({"for_seconds": null}), "for_seconds"),
        ("?target=a", json!({"for_seconds": 0}), "for_seconds"),
        ("?target=a", json!({"for_seconds": 2_592_001}), "for_seconds"),
        ("?target=a", json!({"until": "2100-01-01T00:00:00Z"}), "until"),
        ("?target=a", json!({"until": "2100-01-01T00:00:00Z", "for_seconds": null}), "until"),
        ("?target=a", json!({"until": "2001-01-01T00:00:00Z", "for_seconds": null}), "until"),
        ("?target=a", json!({"holds": "melt"}), "holds"),
        ("?target=a", json!({"match": "all"}), "match"),
        ("?target=a", json!({"match": "everything"}), "match"),
        ("?target=", json!({"match": "prefix"}), "target"),
        ("", json!({}), "target"),
    ] {
        let mut asked = whole.clone();
        change.as_object().expect("fields").iter().for_each(|(key, value)| asked[key] = value.clone());
        let refused = problem(&put(&mut client, &format!("/v1/freezes{target}"), &asked), 400, "invalid-field");
        assert_eq!(refused["field"], field, "{asked}");
    }
    let long = json!({"reason": "x".repeat(257), "for_seconds": 60});
    let refused = problem(&put(&mut client, "/v1/freezes?target=a", &long), 400, "limit-exceeded");
    assert_eq!((&refused["field"], &refused["limit"]), (&json!("reason"), &json!(256)));
    let listed = |client: &mut Client, query: &str| {
        let page = body(&client.get(&format!("/v1/freezes{query}")));
        let targets = page["freezes"].as_array().expect("a list").iter().map(|freeze| freeze["target"].clone());
        targets.collect::<Vec<_>>()
    };
    lock(&mut client, "a/b");
    let broken = json!({"reason": REASON, "for_seconds": 60, "match": "everything", "holds": "break"});
    assert_eq!(body(&put(&mut client, "/v1/freezes", &broken))["match"], "everything");
    assert_eq!(body(&client.get("/v1/locks"))["locks"], json!([]), "its hold was ended");
    assert_eq!(put(&mut client, "/v1/freezes/a%2Fb", &whole).status, 200);
    let full = problem(&put(&mut client, "/v1/freezes/c", &whole), 503, "freezes-full");
    assert_eq!(full["config_key"], "locks.freezes_max");
    assert_eq!(
        (listed(&mut client, ""), listed(&mut client, "?name=a")),
        (vec![json!(""), json!("a/b")], vec![json!("")])
    );
    assert_eq!(listed(&mut client, "?limit=1"), [json!("")]);
    assert_eq!(body(&client.get("/v1/freezes/a%2Fb"))["reason"], REASON);
    for nothing in ["", "?target=", "?target=&reason=over", "?match=prefix", "?target=a&match=everything"] {
        let refused = client.delete(&format!("/v1/freezes{nothing}"));
        let field = if nothing.contains("match") { "match" } else { "target" };
        assert_eq!(problem(&refused, 400, "invalid-field")["field"], field, "{nothing}");
    }
    assert_eq!(listed(&mut client, "?name=a"), [json!("")], "an empty variable thaws nothing");
    assert_eq!(client.delete("/v1/freezes?match=everything&reason=over").status, 200);
    assert_eq!(client.delete("/v1/freezes/a%2Fb").status, 200);
    problem(&client.delete("/v1/freezes/a%2Fb"), 404, "no-such-freeze");
    lock(&mut client, "a/b");
    let stopped = server.stop();
    assert!(stopped.stderr.contains("froze the everything") && stopped.stderr.contains("thawed"), "{}", stopped.stderr);
}

#[test]
fn holds_under_a_freeze_are_ended_only_by_an_admin_of_every_name() {
    let digest: String = Sha256::digest("part").iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("{{ name = \"part\", sha256 = \"{digest}\", role = \"admin\", prefixes = [\"part/\"] }}");
    let server = Spec::in_memory().password("all").configuration(format!("[access]\nkeys = [{key}]\n")).start();
    let mut part = Client::plain(&server).with_header("X-API-Key", "part");
    let asked = json!({"reason": REASON, "for_seconds": 60, "match": "prefix"});
    let breaking = json!({"reason": REASON, "for_seconds": 60, "match": "prefix", "holds": "break"});
    assert_eq!(put(&mut part, "/v1/freezes?target=part/", &asked).status, 200);
    for (target, order) in [("part/", &breaking), ("par", &asked)] {
        problem(&put(&mut part, &format!("/v1/freezes?target={target}"), order), 403, "forbidden");
    }
    let mut all = Client::plain(&server).with_header("X-API-Key", "all");
    assert_eq!(put(&mut all, "/v1/freezes?target=part/", &breaking).status, 200);
}

#[test]
fn text_is_not_frozen_as_name_and_as_prefix_at_once() {
    let server = Spec::in_memory().password("all").start();
    let mut client = Client::plain(&server).with_header("X-API-Key", "all");
    let asked = |covers: &str, reason: &str| json!({"reason": reason, "for_seconds": 60, "match": covers});
    let frozen = body(&put(&mut client, "/v1/freezes?target=deploy/", &asked("prefix", REASON)));
    let covers = json!("all locks whose names start with \"deploy/\"");
    assert_eq!((&frozen["covers"], &frozen["sweeping"]), (&covers, &json!(false)));
    let refused =
        problem(&put(&mut client, "/v1/freezes?target=deploy/", &asked("name", "oops")), 409, "frozen-otherwise");
    let detail = refused["detail"].as_str().expect("a text");
    for told in ["start with \"deploy/\" are frozen until 20", REASON, "(by \"", "thaw that first", "as a prefix"] {
        assert!(detail.contains(told), "{told} in {detail}");
    }
    assert_eq!(refused["frozen"]["match"], "prefix");
    let again = put(&mut client, "/v1/freezes?target=deploy/", &asked("prefix", "release 8"));
    assert_eq!((again.status, &body(&again)["reason"]), (200, &json!("release 8")), "its end can be moved");
    assert_eq!(
        body(&put(&mut client, "/v1/freezes?target=n", &asked("name", REASON)))["covers"],
        "only the lock named \"n\""
    );
    problem(&put(&mut client, "/v1/freezes?target=n", &asked("prefix", "oops")), 409, "frozen-otherwise");
    assert_eq!(client.delete("/v1/freezes?target=n").status, 200);
    assert_eq!(put(&mut client, "/v1/freezes?target=n", &asked("prefix", REASON)).status, 200);
}
