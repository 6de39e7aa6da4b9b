//! `GET /v1/events`: the stream as clients see it.

use super::credentials;
use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;
use crate::support::sse::Events;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn open(server: &Server, target: &str) -> Events {
    let events = Events::open(server.http(), target, &[]);
    assert_eq!(events.status, 200);
    events
}

/// A stream that has said from where on it goes.
fn begun(server: &Server, target: &str) -> Events {
    let mut events = open(server, target);
    events.expect("started");
    events
}

fn unlock(client: &mut Client, name: &str, key: &str) {
    assert_eq!(body(&client.post("/v1/unlock", &json!({"name": name, "key": key})))["unlocked"], true);
}

#[test]
fn events_arrive_as_they_happen() {
    let server = Spec::in_memory().start();
    let mut events = begun(&server, "/v1/events");
    let header = |name: &str| events.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    assert_eq!(header("content-type").as_deref(), Some("text/event-stream"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store"));
    let mut client = with_session(Client::plain(&server));
    let session = client.cookie("ldlm-session").expect("a session").to_owned();
    let key = lock(&mut client, "a/b \"c\"\n");
    let granted = events.expect("granted");
    let shown = body(&client.get("/v1/locks"))["locks"][0]["holders"][0].clone();
    for field in ["fencing_token", "dialect", "session"] {
        assert_eq!(granted[field], shown[field], "{field}");
    }
    assert_eq!(granted["name"], "a/b \"c\"\n");
    unlock(&mut client, "a/b \"c\"\n", &key);
    let released = events.expect("released");
    assert_eq!((&released["fencing_token"], &released["why"]), (&granted["fencing_token"], &json!("released")));
    lock(&mut client, "short");
    events.expect("granted");
    client.delete("/session");
    assert_eq!(events.expect("session-ended")["why"], "closed");
    assert_eq!(events.expect("released")["why"], "session-ended");
    let told = format!("{granted}{released}");
    assert!(!told.contains(&key) && !told.contains(&session), "{told}");
}

#[test]
fn expired_and_forced_holds_have_their_events() {
    let server = Spec::in_memory().start();
    let mut events = begun(&server, "/v1/events?name=job");
    let mut client = with_session(Client::plain(&server));
    client.post("/v1/lock", &json!({"name": "job", "lock_timeout_seconds": 0.1}));
    let granted = events.expect("granted");
    assert_eq!(events.expect("expired")["fencing_token"], granted["fencing_token"]);
    let key = lock(&mut client, "job");
    events.expect("granted");
    assert_eq!(client.delete(&format!("/v1/locks/job/holds/{key}?reason=test")).status, 200);
    assert_eq!(events.expect("forced")["name"], "job");
}

#[test]
fn filtered_stream_has_only_matching_events() {
    let server = Spec::in_memory().start();
    let mut one = begun(&server, "/v1/events?name=build%2F1");
    let mut under = begun(&server, "/v1/events?prefix=build%2F");
    let mut client = with_session(Client::plain(&server));
    for name in ["build", "build/1", "build/12", "other"] {
        lock(&mut client, name);
    }
    client.delete("/session");
    assert_eq!(one.expect("granted")["name"], "build/1");
    assert_eq!(one.expect("released")["name"], "build/1");
    let names: Vec<Value> = (0..4).map(|_| under.event().1["name"].clone()).collect();
    assert_eq!(names[..2], ["build/1", "build/12"]);
    assert!(names[2..].iter().all(|name| name.as_str().is_some_and(|name| name.starts_with("build/"))), "{names:?}");
}

#[test]
fn stream_resumes_after_an_id_or_has_a_gap() {
    let server = Spec::in_memory().configuration("[events]\nbuffer_events_max = 4\n").start();
    let mut events = begun(&server, "/v1/events");
    let mut client = with_session(Client::plain(&server));
    let key = lock(&mut client, "a");
    let first = events.expect("granted");
    unlock(&mut client, "a", &key);
    let second = events.expect("released");
    let after = |id: &Value, target: &str| {
        Events::open(server.http(), target, &[&format!("Last-Event-ID: {}", id.as_str().expect("an id"))])
    };
    let mut resumed = after(&first["id"], "/v1/events");
    resumed.expect("started");
    assert_eq!(resumed.expect("released"), second);
    for n in 0..5 {
        lock(&mut client, &format!("held/{n}"));
    }
    let mut missed = after(&first["id"], "/v1/events?prefix=held%2F");
    let gap = missed.expect("gap");
    assert_eq!(gap["why"], "too-old");
    let locks = gap["locks"].as_array().expect("locks");
    let names: Vec<&str> = locks.iter().filter_map(|lock| lock["name"].as_str()).collect();
    assert_eq!(names, ["held/0", "held/1", "held/2", "held/3", "held/4"]);
    assert_eq!(locks[0]["holders"][0].get("key"), None, "not even to an admin");
    lock(&mut client, "held/5");
    assert_eq!(missed.expect("granted")["name"], "held/5", "and goes on behind the state");
    let mut future = after(&json!("1-1"), "/v1/events");
    assert_eq!(future.expect("gap")["why"], "unknown-id", "no table of this service has this id");
    let state = open(&server, "/v1/events?name=held%2F1&state=true").expect("state");
    assert_eq!((state["locks"].as_array().map(Vec::len), state.get("why")), (Some(1), None));
}

#[test]
fn invalid_parameters_are_refused_with_their_name() {
    let server = Spec::in_memory().start();
    let mut client = Client::plain(&server);
    for (target, field) in [
        ("/v1/events?name=a&prefix=b".to_owned(), "name"),
        ("/v1/events?state=1".to_owned(), "state"),
        ("/v1/events?name=%00".to_owned(), "name"),
        (format!("/v1/events?name={}", "x".repeat(513)), "name"),
        (format!("/v1/events?prefix={}", "x".repeat(513)), "prefix"),
    ] {
        let answer = client.get(&target);
        assert_eq!((answer.status, &body(&answer)["field"]), (400, &json!(field)), "{target}");
    }
    for id in ["x", "1", "1-", "-1-1", "1-1-0", "1-1-x", "18446744073709551616-0"] {
        let answer = Client::plain(&server).with_header("Last-Event-ID", id).get("/v1/events");
        let problem = problem(&answer, 400, "invalid-field");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("4711-1")), "{problem}");
    }
}

#[test]
fn limited_credential_gets_events_of_its_names_only() {
    let server = credentials::server();
    let of = |key: &str, target: &str| Events::open(server.http(), target, &[&format!("X-API-Key: {key}")]);
    let (mut limited, mut reader) = (of("build", "/v1/events"), of("reader", "/v1/events"));
    limited.expect("started");
    reader.expect("started");
    let mut worker = with_session(credentials::client(&server, "worker"));
    for name in ["apple", "build/1", "ops/y", "ops/x"] {
        lock(&mut worker, name);
    }
    worker.delete("/session");
    let mut seen: Vec<String> = (0..4).map(|_| limited.event().1["name"].as_str().expect("a lock's").into()).collect();
    seen.sort();
    assert_eq!(seen, ["build/1", "build/1", "ops/x", "ops/x"]);
    (0..4).for_each(|_| _ = reader.expect("granted"));
    reader.expect("session-ended");
    let mut state = of("build", "/v1/events?state=true");
    assert_eq!(state.expect("state")["locks"], json!([]));
    for (key, target, status) in [
        ("build", "/v1/events?name=apple", 403),
        ("build", "/v1/events?prefix=zebra", 403),
        ("guess", "/v1/events", 401),
    ] {
        assert_eq!(of(key, target).status, status, "{key} {target}");
    }
    assert_eq!(Events::open(server.http(), "/v1/events", &[]).status, 401);
    assert_eq!(Events::open(server.http(), "/v1/events?auth=reader", &[]).status, 200, "as EventSource asks");
}

#[test]
fn silent_stream_has_heartbeats_with_ids() {
    let server = Spec::in_memory().configuration("[events]\nheartbeat = \"50ms\"\n").start();
    let mut events = open(&server, "/v1/events?name=a");
    let started = events.expect("started")["id"].as_str().expect("an id").to_owned();
    let heartbeat = events.block().expect("a heartbeat");
    assert!(heartbeat.comment && heartbeat.event.is_none(), "{heartbeat:?}");
    let mut client = with_session(Client::plain(&server));
    lock(&mut client, "elsewhere");
    let deadline = Instant::now() + Duration::from_secs(60);
    while events.block().expect("a heartbeat").id.is_none_or(|id| id == started) {
        assert!(Instant::now() < deadline, "the id stands still");
    }
}

#[test]
fn stream_ends_with_the_server_without_delaying_it() {
    let mut server = Spec::in_memory().configuration("[server]\ndrain_timeout = \"60s\"\n").start();
    let mut events = begun(&server, "/v1/events");
    let begun = Instant::now();
    server.begin_stop();
    assert_eq!(events.expect("dropped")["why"], "shutting-down");
    assert_eq!(events.block(), None, "nothing follows");
    while server.ended().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the end is held up");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn stalled_reader_is_dropped_without_delaying_others() {
    let configuration = "[events]\nslow_reader_after = \"300ms\"\nreaders_max = 1\n";
    let server = Spec::in_memory().configuration(configuration).start();
    let mut slow = Events::over(small_socket(&server), "/v1/events", &[]);
    assert_eq!(slow.status, 200);
    let mut client = with_session(Client::plain(&server));
    let mut other = Client::plain(&server);
    problem(&other.get("/v1/events"), 503, "readers-full");
    let name = "long".repeat(120);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut cycles = 0;
    while Events::open(server.http(), "/v1/events", &[]).status == 503 {
        assert!(Instant::now() < deadline, "never dropped, after {cycles} cycles");
        for _ in 0..50 {
            let key = lock(&mut client, &name);
            unlock(&mut client, &name, &key);
        }
        cycles += 50;
    }
    // The events before it stopped reading are there, then the reason of the drop.
    let mut last = None;
    while let Some(block) = slow.block() {
        last = block.data.or(last);
    }
    assert_eq!(last, Some(json!({"event": "dropped", "why": "slow-reader"})), "after {cycles} cycles");
}

/// A socket with a small receive buffer.
fn small_socket(server: &Server) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&server.http().into()).expect("the server listens");
    socket.into()
}
