//! `/v1/elections`: candidates, leaders and who asks for them.

use super::names::AWKWARD;
use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;
use crate::support::sse::Events;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn candidate(server: &Server) -> Client {
    with_session(Client::plain(server))
}

fn campaign(client: &mut Client, name: &str, value: &str) -> Value {
    let answer = client.post(&format!("/v1/elections/{name}"), &json!({"value": value, "lease_seconds": 60}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    body(&answer)
}

fn put(client: &mut Client, target: &str, body: &Value) -> crate::support::http::Response {
    client.send("PUT", target, body.to_string().as_bytes())
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[test]
fn one_candidate_leads_and_anybody_may_ask_who() {
    let server = Spec::in_memory().start();
    let (mut one, mut two, mut observer) = (candidate(&server), candidate(&server), Client::plain(&server));
    problem(&observer.get("/v1/elections/primary"), 404, "no-elected-leader");
    let elected = campaign(&mut one, "primary", "one:5432");
    assert_eq!((&elected["elected"], &elected["value"]), (&json!(true), &json!("one:5432")));
    let left = elected["expires_in_seconds"].as_f64().expect("a number");
    assert!(left > 59.0 && left <= 60.0, "{elected}");
    let leader = body(&observer.get("/v1/elections/primary"));
    assert_eq!((&leader["value"], &leader["fencing_token"]), (&json!("one:5432"), &elected["fencing_token"]));
    let reliable = leader["reliable_for_seconds"].as_f64().expect("a number");
    assert!(reliable > 0.5 && reliable <= 1.0, "elections.reliable_max is a second: {leader}");
    let lost = campaign(&mut two, "primary", "two:5432");
    assert_eq!((&lost["elected"], &lost["leader"]["value"]), (&json!(false), &json!("one:5432")));
    assert_eq!(lost["leader"]["fencing_token"], elected["fencing_token"]);
    assert!(lost.get("key").is_none(), "{lost}");
    assert!(leader.get("key").is_none(), "who asks gets no key: {leader}");
}

#[test]
fn resigned_leader_is_followed_when_nobody_can_rely_on_it() {
    let server = Spec::in_memory().start();
    let (mut one, mut observer) = (candidate(&server), Client::plain(&server));
    let elected = campaign(&mut one, "primary", "one");
    let mut two = candidate(&server);
    let waiting = std::thread::spawn(move || {
        let asked = json!({"value": "two", "lease_seconds": 60, "wait_timeout_seconds": 30});
        (body(&two.post("/v1/elections/primary", &asked)), Instant::now(), two)
    });
    while body(&observer.get("/v1/locks/primary"))["queue_length"] != 1 {
        std::thread::yield_now();
    }
    let asked = Instant::now();
    let leader = body(&observer.get("/v1/elections/primary"));
    let reliable = Duration::from_secs_f64(leader["reliable_for_seconds"].as_f64().expect("a number"));
    let key = text(&elected["key"]);
    let resigned = body(&one.delete(&format!("/v1/elections/primary?key={key}")));
    assert_eq!(resigned, json!({"resigned": true, "name": "primary"}));
    problem(&observer.get("/v1/elections/primary"), 404, "no-elected-leader");
    let (next, at, _two) = waiting.join().expect("an answer");
    assert_eq!((&next["elected"], &next["value"]), (&json!(true), &json!("two")));
    assert!(next["fencing_token"].as_u64() > elected["fencing_token"].as_u64());
    assert!(at.duration_since(asked) >= reliable, "{:?} of {reliable:?}", at.duration_since(asked));
    problem(&one.delete(&format!("/v1/elections/primary?key={key}")), 404, "wrong-key");
}

#[test]
fn wait_that_times_out_names_the_leader() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) = (candidate(&server), candidate(&server));
    campaign(&mut one, "primary", "one");
    let asked = json!({"value": "two", "lease_seconds": 60, "wait_timeout_seconds": 0.1});
    let lost = body(&two.post("/v1/elections/primary", &asked));
    assert_eq!((&lost["elected"], &lost["leader"]["value"]), (&json!(false), &json!("one")));
    let mut other = candidate(&server);
    lock(&mut other, "a lock");
    let lost = body(&two.post("/v1/elections/a%20lock", &asked));
    assert_eq!((&lost["elected"], &lost["leader"]), (&json!(false), &json!(null)), "a hold that leads nothing");
}

#[test]
fn candidate_that_hangs_up_leaves_the_queue() {
    let server = Spec::in_memory().start();
    let (mut one, two, mut observer) = (candidate(&server), candidate(&server), Client::plain(&server));
    let elected = campaign(&mut one, "primary", "one");
    let asked = json!({"value": "two", "lease_seconds": 60, "wait_timeout_seconds": 60}).to_string();
    let cookie = two.cookie("ldlm-session").expect("a session");
    let head = format!(
        "POST /v1/elections/primary HTTP/1.1\r\nHost: localhost\r\nCookie: ldlm-session={cookie}\r\nContent-Length: {}",
        asked.len()
    );
    let mut socket = TcpStream::connect(server.http()).expect("the server listens");
    socket.write_all(format!("{head}\r\n\r\n{asked}").as_bytes()).expect("it reads");
    let mut until_waiting = |count: u64| {
        while body(&observer.get("/v1/locks/primary"))["queue_length"] != count {
            std::thread::yield_now();
        }
    };
    until_waiting(1);
    drop(socket);
    until_waiting(0);
    assert_eq!(body(&observer.get("/v1/elections/primary"))["fencing_token"], elected["fencing_token"]);
}

#[test]
fn leader_renews_and_changes_its_value() {
    let server = Spec::in_memory().start();
    let (mut one, mut two, mut observer) = (candidate(&server), candidate(&server), Client::plain(&server));
    let elected = campaign(&mut one, "primary", "one");
    let key = text(&elected["key"]);
    let renewal = json!({"name": "primary", "key": key, "lock_timeout_seconds": 90});
    let renewed = body(&one.post("/v1/renew", &renewal));
    assert_eq!((&renewed["locked"], &renewed["fencing_token"]), (&json!(true), &elected["fencing_token"]));
    let changed = put(&mut one, "/v1/elections/primary", &json!({"key": key, "value": "moved"}));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert!(changed.header("set-cookie").is_some());
    let changed = body(&changed);
    assert_eq!((&changed["value"], &changed["fencing_token"]), (&json!("moved"), &elected["fencing_token"]));
    assert!(changed["expires_in_seconds"].as_f64() > Some(60.0), "{changed}");
    assert_eq!(body(&observer.get("/v1/elections/primary"))["value"], "moved");
    let foreign = json!({"key": "9e2c0102-0304-4506-8708-090a0b0c0d0e", "value": "stolen"});
    problem(&put(&mut two, "/v1/elections/primary", &foreign), 404, "wrong-key");
    problem(&put(&mut two, "/v1/elections/secondary", &foreign), 404, "no-such-lock");
    problem(&two.delete("/v1/elections/secondary?key=x"), 404, "no-such-lock");
    problem(&two.delete("/v1/elections/primary?key=x"), 404, "wrong-key");
    assert_eq!(body(&observer.get("/v1/elections/primary"))["value"], "moved");
    assert_eq!(one.delete("/session").status, 200);
    problem(&observer.get("/v1/elections/primary"), 404, "no-elected-leader");
}

#[test]
fn hold_that_leads_nothing_is_left_alone() {
    let server = Spec::in_memory().start();
    let mut owner = candidate(&server);
    let key = lock(&mut owner, "job");
    problem(&put(&mut owner, "/v1/elections/job", &json!({"key": key, "value": "x"})), 409, "not-elected");
    problem(&owner.delete(&format!("/v1/elections/job?key={key}")), 409, "not-elected");
    problem(&owner.get("/v1/elections/job"), 404, "no-elected-leader");
    assert_eq!(owner.get("/v1/locks/job").status, 200);
}

#[test]
fn repeated_campaign_is_given_the_same_leadership() {
    let server = Spec::in_memory().start();
    let mut one = candidate(&server);
    let asked = json!({"value": "one", "lease_seconds": 60, "request_id": "try 1"});
    let (first, again) = (body(&one.post("/v1/elections/p", &asked)), body(&one.post("/v1/elections/p", &asked)));
    assert_eq!((&again["elected"], &again["key"]), (&json!(true), &first["key"]));
    let other = json!({"value": "two", "lease_seconds": 60, "request_id": "try 1"});
    problem(&one.post("/v1/elections/p", &other), 422, "request-reused");
}

#[test]
fn two_waits_in_a_circle_are_refused() {
    let server = Spec::in_memory().start();
    let (mut one, mut two, mut observer) = (candidate(&server), candidate(&server), Client::plain(&server));
    campaign(&mut one, "a", "one");
    campaign(&mut two, "b", "two");
    let asked = json!({"value": "x", "lease_seconds": 60, "wait_timeout_seconds": 30});
    let waiting = {
        let asked = asked.clone();
        std::thread::spawn(move || one.post("/v1/elections/b", &asked))
    };
    while body(&observer.get("/v1/locks/b"))["queue_length"] != 1 {
        std::thread::yield_now();
    }
    problem(&two.post("/v1/elections/a", &asked), 409, "would-deadlock");
    two.delete("/session");
    assert_eq!(body(&waiting.join().expect("an answer"))["elected"], true);
}

#[test]
fn bad_requests_name_field_and_limit_and_change_nothing() {
    let server = Spec::in_memory().start();
    let (mut one, mut observer) = (candidate(&server), Client::plain(&server));
    let long = "x".repeat(4_097);
    for (asked, field, limit, code) in [
        (json!({"lease_seconds": 60}), "value", json!(4_096), "invalid-field"),
        (json!({"value": "", "lease_seconds": 60}), "value", json!(4_096), "invalid-field"),
        (json!({"value": long, "lease_seconds": 60}), "value", json!(4_096), "limit-exceeded"),
        (json!({"value": 7, "lease_seconds": 60}), "value", json!(null), "invalid-field"),
        (json!({"value": "x"}), "lease_seconds", json!(null), "invalid-field"),
        (json!({"value": "x", "lease_seconds": 0}), "lease_seconds", json!(2_592_000), "invalid-field"),
        (json!({"value": "x", "lease_seconds": -1}), "lease_seconds", json!(2_592_000), "invalid-field"),
        (json!({"value": "x", "lease_seconds": 1e9}), "lease_seconds", json!(2_592_000), "invalid-field"),
        (
            json!({"value": "x", "lease_seconds": 1, "wait_timeout_seconds": 1e9}),
            "wait_timeout_seconds",
            json!(86_400),
            "invalid-field",
        ),
    ] {
        let refused = problem(&one.post("/v1/elections/p", &asked), 400, code);
        assert_eq!(
            (&refused["field"], refused.get("limit").unwrap_or(&Value::Null)),
            (&json!(field), &limit),
            "{asked}"
        );
    }
    problem(&one.post("/v1/elections/p", &json!({"value": "x", "lease": 1})), 400, "invalid-field");
    problem(&one.send("POST", "/v1/elections/p", b"value=x"), 400, "malformed-body");
    problem(&one.get("/v1/elections?name="), 400, "invalid-field");
    assert_eq!(problem(&one.get("/v1/elections"), 400, "invalid-field")["field"], "name");
    problem(&one.post("/v1/elections?name=%00", &json!({"value": "x", "lease_seconds": 1})), 400, "invalid-field");
    problem(&observer.get("/v1/elections/p"), 404, "no-elected-leader");
    let elected = campaign(&mut one, "p", "kept");
    let key = text(&elected["key"]);
    for (asked, field) in [
        (json!({"key": key}), "value"),
        (json!({"key": key, "value": ""}), "value"),
        (json!({"key": key, "value": long}), "value"),
        (json!({"value": "x"}), "key"),
        (json!({"key": "", "value": "x"}), "key"),
    ] {
        let refused = put(&mut one, "/v1/elections/p", &asked);
        assert_eq!((refused.status, &body(&refused)["field"]), (400, &json!(field)), "{asked}");
    }
    assert_eq!(problem(&one.delete("/v1/elections/p"), 400, "invalid-field")["field"], "key");
    assert_eq!(body(&observer.get("/v1/elections/p"))["value"], "kept");
    problem(&one.send("PATCH", "/v1/elections/p", b""), 405, "method-not-allowed");
}

#[test]
fn candidate_whose_wait_would_be_a_deadlock_is_told_the_cycle() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) = (candidate(&server), candidate(&server));
    campaign(&mut one, "primary", "one");
    campaign(&mut two, "standby", "two");
    let waiting = json!({"value": "x", "lease_seconds": 60, "wait_timeout_seconds": 60});
    let mut observer = Client::plain(&server);
    let waiter = std::thread::spawn({
        let waiting = waiting.clone();
        move || one.post("/v1/elections/standby", &waiting)
    });
    while observer.get("/v1/locks?name=standby").json()["locks"][0]["queue_length"] != 1 {
        std::thread::yield_now();
    }
    let refused = two.post("/v1/elections/primary", &waiting);
    problem(&refused, 409, "would-deadlock");
    let names: Vec<Value> = (0..2).map(|at| refused.json()["cycle"][at]["name"].clone()).collect();
    assert_eq!(names, [json!("primary"), json!("standby")], "{}", refused.text());
    two.delete("/session");
    assert_eq!(waiter.join().expect("it lives").json()["elected"], true);
}

#[test]
fn candidate_needs_a_session_that_lives() {
    let server = Spec::in_memory().start();
    let mut nobody = Client::plain(&server);
    let asked = json!({"value": "x", "lease_seconds": 60});
    problem(&nobody.post("/v1/elections/p", &asked), 401, "session-unknown");
    let mut one = candidate(&server);
    let cookie = one.cookie("ldlm-session").expect("a session").to_owned();
    one.delete("/session");
    one.set_cookie("ldlm-session", &cookie);
    for answer in [
        one.post("/v1/elections/p", &asked),
        one.post("/v1/elections/p", &json!({})),
        put(&mut one, "/v1/elections/p", &json!({"key": "x", "value": "x"})),
        one.delete("/v1/elections/p?key=x"),
    ] {
        problem(&answer, 401, "session-unknown");
    }
}

#[test]
fn election_of_any_name_is_won_shown_changed_and_left() {
    let server = Spec::in_memory().start();
    let (mut one, mut observer) = (candidate(&server), Client::plain(&server));
    for name in AWKWARD {
        let target = format!("/v1/elections?name={}", utf8_percent_encode(name, NON_ALPHANUMERIC));
        let elected = body(&one.post(&target, &json!({"value": name, "lease_seconds": 60})));
        assert_eq!((&elected["elected"], &elected["name"]), (&json!(true), &json!(name)));
        assert_eq!(body(&observer.get(&target))["value"], name);
        let key = text(&elected["key"]);
        assert_eq!(put(&mut one, &target, &json!({"key": key, "value": "new"})).status, 200, "{name:?}");
        assert_eq!(body(&observer.get(&target))["value"], "new");
        assert_eq!(body(&one.delete(&format!("{target}&key={key}")))["name"], name);
        problem(&observer.get(&target), 404, "no-elected-leader");
    }
    campaign(&mut one, "in%2Fa%2Fpath", "x");
    assert_eq!(body(&observer.get("/v1/elections?name=in/a/path"))["value"], "x");
}

#[test]
fn observer_is_told_each_change_in_order() {
    let server = Spec::in_memory().start();
    let mut events = Events::open(server.http(), "/v1/events?election=db%2Fprimary", &[]);
    let started = text(&events.expect("started")["id"]);
    let (mut one, mut two) = (candidate(&server), candidate(&server));
    let plain = lock(&mut two, "db/primary");
    two.post("/v1/unlock", &json!({"name": "db/primary", "key": plain}));
    lock(&mut two, "elsewhere");
    let elected = campaign(&mut one, "db%2Fprimary", "one");
    let told = events.expect("elected");
    assert_eq!((&told["name"], &told["value"]), (&json!("db/primary"), &json!("one")));
    assert_eq!(told["fencing_token"], elected["fencing_token"], "no event of a hold that leads nothing before it");
    let key = text(&elected["key"]);
    put(&mut one, "/v1/elections/db%2Fprimary", &json!({"key": key, "value": "moved"}));
    let told = events.expect("value-changed");
    assert_eq!((&told["value"], &told["fencing_token"]), (&json!("moved"), &elected["fencing_token"]));
    let id = text(&told["id"]);
    let mut late = Events::open(server.http(), "/v1/events?election=db%2Fprimary&state=true", &[]);
    let state = late.expect("state");
    let leader = json!({"value": "moved", "fencing_token": elected["fencing_token"]});
    assert_eq!(state["leader"], leader);
    one.delete(&format!("/v1/elections/db%2Fprimary?key={key}"));
    let resigned = events.expect("resigned");
    assert_eq!((&resigned["why"], &resigned["fencing_token"]), (&json!("released"), &elected["fencing_token"]));
    assert_eq!(late.expect("resigned"), resigned);
    let asked = json!({"value": "two", "lease_seconds": 0.2, "wait_timeout_seconds": 30});
    let next = body(&two.post("/v1/elections/db%2Fprimary", &asked));
    assert_eq!(events.expect("elected")["fencing_token"], next["fencing_token"]);
    assert_eq!(events.expect("expired")["fencing_token"], next["fencing_token"]);
    let of = |target: &str, id: &str| Events::open(server.http(), target, &[&format!("Last-Event-ID: {id}")]);
    let mut resumed = of("/v1/events?election=db%2Fprimary", &id);
    resumed.expect("started");
    assert_eq!(resumed.expect("resigned"), resigned);
    let mut all = of("/v1/events?name=db%2Fprimary", &started);
    all.expect("started");
    let kinds: Vec<String> = (0..6).map(|_| all.event().0).collect();
    assert_eq!(kinds, ["granted", "released", "granted", "value-changed", "released", "granted"]);
    let mut client = Client::plain(&server);
    for (target, field) in [
        ("/v1/events?election=a&prefix=b", "name"),
        ("/v1/events?election=a&name=b", "name"),
        ("/v1/events?election=%00", "election"),
    ] {
        assert_eq!(problem(&client.get(target), 400, "invalid-field")["field"], field, "{target}");
    }
}
