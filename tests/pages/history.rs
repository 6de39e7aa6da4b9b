//! `GET /v1/locks/{name}/history` and `GET /v1/history?name=`.

use super::credentials::{client, keys};
use super::names::encoded;
use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::spec::Spec;
use serde_json::{Value, json};

/// For which proxies, browsers and terminals have uses of their own.
const ODD: &str = "ops/x/../größe %2F\u{1b}[31m <script>&?#";

fn history(client: &mut Client, name: &str) -> Vec<Value> {
    let shown = body(&client.get(&format!("/v1/history?name={}", encoded(name))));
    assert_eq!(shown["name"], name, "{shown}");
    shown["ended_holds"].as_array().expect("a list").clone()
}

#[test]
fn history_tells_who_had_a_lock_and_how_it_ended_also_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Spec::durable(dir.path()).configuration(keys()).start();
    let mut boss = client(&server, "boss");
    let mut worker = with_session(client(&server, "worker"));
    assert_eq!(history(&mut boss, ODD), [] as [Value; 0], "nobody has had it");
    let asked = json!({"name": ODD, "lock_timeout_seconds": 60, "metadata": {"host": "db-1"}});
    let taken = body(&worker.post("/v1/lock", &asked));
    let key = taken["key"].as_str().expect("a key").to_owned();
    let handle =
        body(&boss.get(&format!("/v1/locks?name={}", encoded(ODD))))["locks"][0]["holders"][0]["session"].clone();
    let force = format!("/v1/holds?name={}&key={key}&reason={}", encoded(ODD), encoded("<b>it hangs\u{7}</b>"));
    assert_eq!(boss.delete(&force).status, 200);
    let again = lock(&mut worker, ODD);
    assert_eq!(body(&worker.post("/v1/unlock", &json!({"name": ODD, "key": again})))["unlocked"], true);
    let before = history(&mut boss, ODD);
    let [released, forced] = &before[..] else { panic!("two: {before:?}") };
    assert_eq!((&released["end"], released.get("forced_by"), released.get("reason")), (&json!("released"), None, None));
    assert_eq!(forced["fencing_token"], taken["fencing_token"]);
    assert_eq!(
        (&forced["end"], &forced["mode"], &forced["dialect"]),
        (&json!("forced"), &json!("exclusive"), &json!("sessions-v1"))
    );
    assert_eq!((&forced["forced_by"], &forced["reason"]), (&json!("boss"), &json!("<b>it hangs\u{7}</b>")));
    assert_eq!((&forced["metadata"], &forced["owner"]), (&json!({"host": "db-1"}), &Value::Null));
    assert_eq!(forced["session"], handle, "as listings call it");
    let year = |field: &str| forced[field].as_str().expect("a time")[..3].to_owned();
    assert_eq!((year("acquired_at"), year("ended_at")), ("202".to_owned(), "202".to_owned()));
    assert!(forced["ended_seconds_ago"].as_f64().is_some_and(|ago| (0.0..60.0).contains(&ago)), "{forced}");
    let server = server.kill_and_restart();
    let lasting = |past: &Value| {
        let mut past = past.clone();
        past["ended_seconds_ago"].take();
        past
    };
    let after = history(&mut client(&server, "boss"), ODD);
    assert_eq!(after.iter().map(lasting).collect::<Vec<_>>(), before.iter().map(lasting).collect::<Vec<_>>());
    let mut reader = client(&server, "reader");
    let nameless = |past: &Value| {
        let mut past = lasting(past);
        past.as_object_mut().expect("an object").remove("forced_by");
        past
    };
    let read = history(&mut reader, ODD);
    assert_eq!(read.iter().map(lasting).collect::<Vec<_>>(), before.iter().map(nameless).collect::<Vec<_>>());
    let page = |secret: &str| {
        let mut browser = client(&server, secret).with_header("Accept", "text/html");
        browser.get(&format!("/ui/lock?name={}", encoded(ODD))).text()
    };
    assert!(page("boss").contains("by <bdi>boss</bdi>"), "{}", page("boss"));
    assert!(
        !page("reader").contains("by <bdi>boss</bdi>") && page("reader").contains("it hangs"),
        "{}",
        page("reader")
    );
    let target = format!("/v1/locks/{}/history", encoded(ODD));
    let limited = reader.get(&format!("{target}?limit=1&consistency=stale"));
    assert_eq!(body(&limited)["ended_holds"].as_array().map(Vec::len), Some(1));
    let text = limited.text();
    assert!(!text.contains(&key) && !text.contains(&again), "a key: {text}");
    refused(&mut reader, &target);
    let mut elsewhere = client(&server, "build");
    assert_eq!(history(&mut elsewhere, ODD).len(), 2, "its prefix");
    for target in ["/v1/history?name=zebra", "/v1/locks/zebra/history"] {
        problem(&elsewhere.get(target), 403, "forbidden");
        problem(&Client::tls(&server).get(target), 401, "credential-missing");
    }
}

fn refused(reader: &mut Client, target: &str) {
    for (query, field) in [("limit=0", "limit"), ("limit=1001", "limit"), ("consistency=old", "consistency")] {
        assert_eq!(problem(&reader.get(&format!("{target}?{query}")), 400, "invalid-field")["field"], field);
    }
    problem(&reader.get(&format!("{target}?limits=1")), 400, "invalid-field");
    assert_eq!(problem(&reader.get("/v1/history"), 400, "invalid-field")["field"], "name");
    let long = problem(&reader.get(&format!("/v1/history?name={}", "x".repeat(513))), 400, "limit-exceeded");
    assert_eq!(long["limit"], 512);
    problem(&reader.get("/v1/history?name=a%00b"), 400, "invalid-field");
}
