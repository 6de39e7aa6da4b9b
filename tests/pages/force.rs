//! `DELETE /v1/locks/{name}/holds/{key}`.

use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::spec::Spec;
use serde_json::json;

#[test]
fn forced_release_logs_admin_and_reason() {
    let server = Spec::in_memory().api_key("boss").start();
    let mut owner = with_session(Client::tls(&server).with_header("X-API-Key", "boss"));
    let key = lock(&mut owner, "ops/deploy \u{1b}[31m");
    let mut admin = Client::tls(&server).with_header("Authorization", "Bearer boss");
    let path = "/v1/locks/ops%2Fdeploy%20%1B%5B31m";
    let shown = body(&admin.get(path));
    assert_eq!(shown["holders"][0]["key"], json!(key), "an admin sees the key");
    let ended = admin.delete(&format!("{path}/holds/{key}?reason=worker+hangs"));
    assert_eq!(ended.status, 200, "{}", ended.text());
    assert_eq!(body(&ended)["fencing_token"], shown["holders"][0]["fencing_token"]);
    assert_eq!(body(&ended)["waiter_granted"], false);
    problem(&admin.get(path), 404, "no-such-lock");
    let again = body(&owner.post("/v1/unlock", &json!({"name": "ops/deploy \u{1b}[31m", "key": key})));
    assert_eq!(again["unlocked"], false, "the old owner's key opens nothing any more");
    let token = shown["holders"][0]["fencing_token"].to_string();
    let stopped = server.stop();
    let line = stopped.stderr.lines().find(|line| line.contains("forced")).expect("a log line");
    assert!(line.contains("worker hangs") && line.contains("command-line-key-1"), "{line}");
    assert!(line.contains(&token) && line.contains("ops/deploy"), "{line}");
    assert!(!line.contains(&key) && !line.contains('\u{1b}'), "{line}");
}

#[test]
fn forced_release_grants_the_next_waiter_a_higher_token() {
    let server = Spec::in_memory().start();
    let mut owner = with_session(Client::plain(&server));
    let key = lock(&mut owner, "queue");
    let mut waiter = with_session(Client::plain(&server));
    let waiting = std::thread::spawn(move || {
        body(&waiter.post("/v1/lock", &json!({"name": "queue", "wait_timeout_seconds": 30})))
    });
    let mut admin = Client::plain(&server);
    while body(&admin.get("/v1/locks/queue"))["queue_length"] != 1 {
        std::thread::yield_now();
    }
    let target = format!("/v1/locks/queue/holds/{key}");
    let ended = body(&admin.send("DELETE", &target, br#"{"reason": "it hangs"}"#));
    assert_eq!(ended["waiter_granted"], true);
    let taken = waiting.join().expect("an answer");
    assert_eq!(taken["locked"], true);
    assert!(taken["fencing_token"].as_u64() > ended["fencing_token"].as_u64());
}

#[test]
fn forced_release_without_a_reason_is_refused() {
    let server = Spec::in_memory().start();
    let mut owner = with_session(Client::plain(&server));
    let key = lock(&mut owner, "kept");
    let mut admin = Client::plain(&server);
    let target = format!("/v1/locks/kept/holds/{key}");
    let too_long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(257));
    let none = ["", "{\"reason\": \"\"}", "{\"reason\": \"   \"}"].map(|body| (body, "invalid-field"));
    for (body, code) in none.into_iter().chain([(&*too_long, "limit-exceeded")]) {
        let problem = problem(&admin.send("DELETE", &target, body.as_bytes()), 400, code);
        assert_eq!((&problem["field"], &problem["limit"]), (&"reason".into(), &256.into()), "{body}");
    }
    for body in ["reason", "[]", "{\"reason\": 7}", "{}"] {
        problem(&admin.send("DELETE", &target, body.as_bytes()), 400, "malformed-body");
    }
    assert_eq!(admin.get("/v1/locks/kept").status, 200);
}

#[test]
fn forced_release_with_a_wrong_key_ends_nothing() {
    let server = Spec::in_memory().start();
    let mut owner = with_session(Client::plain(&server));
    lock(&mut owner, "kept");
    let mut admin = Client::plain(&server);
    for key in ["9e2c0102-0304-4506-8708-090a0b0c0d0e", "x", "00000000000000000000000000000000", "%ff"] {
        let answer = admin.delete(&format!("/v1/locks/kept/holds/{key}?reason=x"));
        assert!(matches!(answer.status, 400 | 404), "{}", answer.text());
    }
    problem(&admin.delete("/v1/locks/free/holds/x?reason=x"), 404, "no-such-lock");
    assert_eq!(admin.get("/v1/locks/kept").status, 200);
}

#[test]
fn forced_release_takes_the_shown_key_of_every_dialect() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    lock(&mut client, "one");
    assert_eq!(client.get("/getlock?lockname=two").status, 200);
    assert_eq!(client.post("/lock", &json!({"resource": "three"})).status, 200);
    assert_eq!(client.send("POST", "/lock/four", b"").status, 200);
    for name in ["one", "two", "three", "four"] {
        let shown = body(&client.get(&format!("/v1/locks/{name}")));
        let key = shown["holders"][0]["key"].as_str().expect("a key").to_owned();
        let ended = client.delete(&format!("/v1/locks/{name}/holds/{key}?reason=test"));
        assert_eq!(ended.status, 200, "{name}: {}", ended.text());
    }
    assert_eq!(body(&client.get("/v1/locks"))["locks"], json!([]));
}
