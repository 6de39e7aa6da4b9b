//! Holds that end with their session, before their lease: every answer and listing has that end.

use super::dialect_client::{DialectClient, Protocol, in_the_way, until};
use crate::support::client::{Client, Wire};
use crate::support::spec::Spec;
use serde_json::{Value, json};

/// A client whose session ends after so many seconds without a request.
fn session(server: &crate::support::process::Server, idle_seconds: f64) -> Client {
    let mut client = Client::tls(server);
    let opened = client.post("/session", &json!({"idle_timeout_seconds": idle_seconds}));
    assert_eq!(
        (opened.status, &opened.json()["idle_timeout_seconds"]),
        (201, &json!(idle_seconds)),
        "{}",
        opened.text()
    );
    client
}

fn seconds(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn is_about(value: &Value, expected: f64) {
    let told = seconds(value);
    assert!(told > expected - 5.0 && told <= expected, "{told} instead of {expected}");
}

#[test]
fn answer_has_the_end_of_the_hold_without_further_requests() {
    let server = Spec::in_memory().start();
    let mut client = session(&server, 90.0);
    for (body, ends) in [
        (json!({"name": "long", "lock_timeout_seconds": 3600}), 90.0),
        (json!({"name": "endless"}), 90.0),
        (json!({"name": "short", "lock_timeout_seconds": 30}), 30.0),
    ] {
        let taken = client.post("/v1/lock", &body).json();
        is_about(&taken["expires_in_seconds"], ends);
    }
    let long = client.post("/v1/lock", &json!({"name": "again", "lock_timeout_seconds": 3600})).json();
    let renewal = json!({"name": "again", "key": long["key"], "lock_timeout_seconds": 7200});
    is_about(&client.post("/v1/renew", &renewal).json()["expires_in_seconds"], 90.0);
    // The key is enough to renew; the hold depends on the session that took it.
    let mut other = session(&server, 600.0);
    is_about(&other.post("/v1/renew", &renewal).json()["expires_in_seconds"], 90.0);
    // A GET_LOCK hold that a cookie ties to a session.
    is_about(&client.get("/getlock?lockname=tied&lifetime=3600").json()["expires_in"], 90.0);
    is_about(&Client::tls(&server).get("/getlock?lockname=free&lifetime=3600").json()["expires_in"], 3600.0);
}

#[test]
fn listings_and_refusals_have_the_same_end() {
    let server = Spec::in_memory().start();
    let mut client = session(&server, 90.0);
    client.post("/v1/lock", &json!({"name": "long", "lock_timeout_seconds": 3600}));
    client.post("/v1/lock", &json!({"name": "endless"}));
    for name in ["long", "endless"] {
        is_about(&client.get(&format!("/v1/locks/{name}")).json()["holders"][0]["remaining_seconds"], 90.0);
        is_about(&in_the_way(&server, name).expect("held")["remaining_seconds"], 90.0);
    }
    let page = client.get("/v1/locks").json();
    page["locks"]
        .as_array()
        .expect("a list")
        .iter()
        .for_each(|lock| is_about(&lock["holders"][0]["remaining_seconds"], 90.0));
    let status = client.get("/status").json();
    status["other_locks"].as_array().expect("a list").iter().for_each(|lock| is_about(&lock["remaining"], 90.0));
    let page = Client::tls(&server).with_header("Accept", "text/html").get("/").text();
    assert!(page.contains("with its session"), "{page}");
}

#[test]
fn hold_ends_at_the_answered_time() {
    let server = Spec::in_memory().start();
    let mut client = session(&server, 5.0);
    let taken = client.post("/v1/lock", &json!({"name": "brief", "lock_timeout_seconds": 600})).json();
    assert!(seconds(&taken["expires_in_seconds"]) <= 5.0, "{taken}");
    let mut next = DialectClient::new(Protocol::GetLock, &server);
    assert!(next.wait("brief", 30.0).is_some(), "its session ended");
    assert_eq!(client.post("/v1/lock", &json!({"name": "x"})).status, 401);
}

#[test]
fn waiting_session_idles_out_only_after_its_wait() {
    let server = Spec::in_memory().start();
    let mut holder = DialectClient::new(Protocol::GetLock, &server);
    holder.take("wanted").expect("free");
    let mut client = session(&server, 60.0);
    client.post("/v1/lock", &json!({"name": "held", "lock_timeout_seconds": 3600}));
    let cookie = client.cookie("ldlm-session").expect("a session").to_owned();
    let mut waiter = Client::tls(&server);
    waiter.set_cookie("ldlm-session", &cookie);
    let waiting = std::thread::spawn(move || {
        waiter.post("/v1/lock", &json!({"name": "wanted", "wait_timeout_seconds": 60, "lock_timeout_seconds": 5}))
    });
    let mut reader = Client::tls(&server);
    until("the wait", || reader.get("/v1/locks/wanted").json()["queue_length"] == 1);
    is_about(&reader.get("/v1/locks/held").json()["holders"][0]["remaining_seconds"], 60.0);
    assert!(holder.give_back("wanted"));
    is_about(&waiting.join().expect("it is answered").json()["expires_in_seconds"], 5.0);
}

#[test]
fn session_has_the_requested_idle_time() {
    let server =
        Spec::in_memory().configuration("[sessions]\nidle_timeout = \"7m\"\nidle_timeout_max = \"10m\"\n").start();
    let open = |wire, body: &str| Client::new(&server, wire).send("POST", "/session", body.as_bytes());
    for (body, seconds) in [
        ("", json!(420.0)),
        ("{}", json!(420.0)),
        (r#"{"idle_timeout_seconds": null}"#, json!(420.0)),
        (r#"{"idle_timeout_seconds": 2.5}"#, json!(2.5)),
        (r#"{"idleTimeoutSeconds": "600"}"#, json!(600.0)),
    ] {
        let opened = open(Wire::Plain, body);
        assert_eq!((opened.status, &opened.json()["idle_timeout_seconds"]), (201, &seconds), "{body}");
    }
    for body in ["0", "-1", "601", "1e9", "\"NaN\"", "\"soon\"", "[]"] {
        let refused = open(Wire::Tls, &format!(r#"{{"idle_timeout_seconds": {body}}}"#));
        assert_eq!(refused.status, 400, "{body}: {}", refused.text());
        assert!(refused.text().contains("idle_timeout_seconds"), "{}", refused.text());
    }
}

#[test]
fn retry_with_another_idle_time_is_refused() {
    let server = Spec::in_memory().api_key("a key").start();
    let mut client = Client::tls(&server).with_header("Idempotency-Key", "open").with_header("X-API-Key", "a key");
    let first = client.post("/session", &json!({"idle_timeout_seconds": 30})).json();
    assert_eq!(client.post("/session", &json!({"idle_timeout_seconds": 30})).json(), first);
    assert_eq!(client.post("/session", &json!({"idle_timeout_seconds": 31})).status, 422);
}

#[test]
fn idle_time_survives_a_restart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Spec::durable(directory.path()).start();
    let mut client = session(&server, 45.0);
    client.post("/v1/lock", &json!({"name": "kept", "lock_timeout_seconds": 3600}));
    let server = server.stop_and_restart();
    client.move_to(&server);
    let answer = client.post("/v1/lock", &json!({"name": "more", "lock_timeout_seconds": 3600}));
    is_about(&answer.json()["expires_in_seconds"], 45.0);
}
