//! The sessions of sessions v1: their cookie, their idle time, and the holds that end with them.

use super::dialect_client::{DialectClient, Protocol, until};
use crate::support::client::{Client, Wire};
use crate::support::spec::Spec;
use serde_json::json;
use std::time::{Duration, Instant};
use tower_cookies::Cookie;

const NOT_FOUND: &str = r#"{"error": "session cookie not found. create a new session at /session"}"#;
const INVALID: &str = r#"{"error": "session cookie invalid or expired. create a new session at /session"}"#;

#[test]
fn opened_session_sets_ldlms_cookie() {
    let server = Spec::in_memory().argument("--session-timeout").argument("7m").start();
    for wire in [Wire::Tls, Wire::Plain] {
        let answer = Client::new(&server, wire).send("POST", "/session", b"ignored");
        assert_eq!((answer.status, answer.header("content-type")), (201, Some("application/json")));
        let set: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
        assert_eq!(set.len(), 1);
        let cookie = Cookie::parse(set[0].1.as_str()).expect("a cookie");
        assert_eq!((cookie.name(), cookie.path(), cookie.expires()), ("ldlm-session", Some("/"), None));
        assert_eq!(cookie.http_only(), Some(true));
        assert_eq!(cookie.same_site().map(|site| site.to_string()).as_deref(), Some("Lax"));
        assert_eq!(cookie.secure().unwrap_or(false), wire == Wire::Tls);
        assert!(cookie.value().len() == 32 && cookie.value().bytes().all(|byte| byte.is_ascii_hexdigit()));
        let told = format!("{{\"session_id\": \"{}\", \"idle_timeout_seconds\": 420.000}}", cookie.value());
        assert_eq!(answer.text(), told);
        assert_eq!(cookie.max_age(), None, "a jar that is only read keeps it while renewals keep the session alive");
    }
}

#[test]
fn open_ignores_the_cookie_of_the_request() {
    let server = Spec::in_memory().start();
    let mut client = Client::tls(&server);
    let first = client.send("POST", "/session", b"").text();
    assert_ne!(client.send("POST", "/session", b"").text(), first);
}

#[test]
fn request_without_a_living_session_is_refused_first() {
    let server = Spec::in_memory().start();
    for (method, path, body) in [
        ("POST", "/v1/lock", r#"{"name":"a"}"#),
        ("POST", "/v1/lock", "{"),
        ("POST", "/v1/lock", ""),
        ("POST", "/v1/lock", r#"{"name":"a","size":0}"#),
        ("POST", "/v1/unlock", r#"{"name":"a","key":"k"}"#),
        ("POST", "/v1/renew", r#"{"name":"a","key":"k","lock_timeout_seconds":1}"#),
        ("POST", "/v1/refreshlock", ""),
        ("GET", "/v1/lock", ""),
        ("POST", "/v1/lock/", ""),
        ("GET", "/session", ""),
    ] {
        let answer = Client::tls(&server).send(method, path, body.as_bytes());
        assert_eq!((answer.status, &*answer.text()), (401, NOT_FOUND), "{method} {path} {body}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        for unknown in ["00112233445566778899aabbccddeeff", "nonsense"] {
            let mut client = Client::tls(&server);
            client.set_cookie("ldlm-session", unknown);
            let answer = client.send(method, path, body.as_bytes());
            assert_eq!((answer.status, &*answer.text()), (401, INVALID), "{method} {path} {body} {unknown}");
            assert!(answer.header("set-cookie").is_none());
        }
    }
}

#[test]
fn every_answer_renews_the_cookie() {
    let server = Spec::in_memory().start();
    let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
    let session = client.cookie("ldlm-session").expect("a session").to_owned();
    for (method, path, body) in [
        ("POST", "/v1/lock", r#"{"name":"a"}"#),
        ("POST", "/v1/lock", r#"{"name":"a"}"#),
        ("POST", "/v1/lock", "{"),
        ("POST", "/v1/unlock", ""),
        ("GET", "/v1/renew", ""),
        ("GET", "/session", ""),
    ] {
        let answer = client.send(method, path, body.as_bytes());
        assert_eq!(answer.cookie("ldlm-session"), Some(&*session), "{method} {path} {body}");
    }
}

#[test]
fn deleted_session_releases_its_holds() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) =
        (DialectClient::new(Protocol::SessionsV1, &server), DialectClient::new(Protocol::GetLock, &server));
    assert!(one.take("a").is_some() && one.take("b").is_some());
    let id = one.client.cookie("ldlm-session").expect("a session").to_owned();
    let answer = one.client.delete("/session");
    assert_eq!((answer.status, &*answer.text()), (200, r#"{"session_id": ""}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let cookie = Cookie::parse(answer.header("set-cookie").expect("a cookie").to_owned()).expect("a cookie");
    assert_eq!((cookie.name(), cookie.value(), cookie.path()), ("ldlm-session", "", Some("/")));
    assert!(cookie.expires().is_none() && cookie.max_age().is_some_and(|age| age.is_zero()));
    assert!(two.take("a").is_some() && two.take("b").is_some());
    one.client.set_cookie("ldlm-session", &id);
    let again = one.client.delete("/session");
    assert_eq!((again.status, &*again.text()), (409, r#"{"error": "session not found"}"#));
    let without = Client::tls(&server).delete("/session");
    assert_eq!((without.status, &*without.text()), (401, NOT_FOUND));
}

#[test]
fn idle_session_ends_unless_a_request_comes() {
    const IDLE: Duration = Duration::from_secs(5);
    let server = Spec::in_memory().argument("--session-timeout").argument("5s").start();
    let (mut idle, mut busy) =
        (DialectClient::new(Protocol::SessionsV1, &server), DialectClient::new(Protocol::SessionsV1, &server));
    assert!(busy.take("busy").is_some());
    let began = Instant::now();
    assert!(idle.take("idle").is_some());
    let mut other = DialectClient::new(Protocol::LockByName, &server);
    let mut kinds = [("POST", "/v1/lock", "{"), ("GET", "/v1/lock", ""), ("POST", "/lock/by-name", "")].iter().cycle();
    until("the idle session to end", || {
        // Requests that change nothing, also of other dialects, count.
        let (method, path, body) = kinds.next().expect("endless");
        busy.client.send(method, path, body.as_bytes());
        other.take("idle").is_some()
    });
    assert!(began.elapsed() >= IDLE, "it ended early");
    assert_eq!(idle.client.post("/v1/lock", &json!({"name": "x"})).status, 401);
    assert!(other.take("busy").is_none(), "a busy session ended");
}

#[test]
fn request_in_flight_keeps_its_session() {
    let server = Spec::in_memory().argument("--session-timeout").argument("4s").start();
    let mut holder = DialectClient::new(Protocol::LockByName, &server);
    holder.take("long").expect("free");
    let mut waiter = DialectClient::new(Protocol::SessionsV1, &server);
    let waiting = std::thread::spawn(move || waiter.wait("long", 9.0));
    assert!(waiting.join().expect("the waiter lives").is_none(), "it waited as long as it asked to");
}

#[test]
fn sessions_survive_a_restart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Spec::durable(directory.path()).start();
    let mut dialect_client = DialectClient::new(Protocol::SessionsV1, &server);
    assert!(dialect_client.take("kept").is_some());
    let server = server.stop_and_restart();
    dialect_client.client.move_to(&server);
    assert!(dialect_client.take("another").is_some(), "the cookie goes on");
    assert!(dialect_client.give_back("kept"));
}
