//! Sessions v1: LDLM's bodies, statuses and JSON mapping to the byte, and our additions.

use super::dialect_client::{DialectClient, Protocol, until};
use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::spec::Spec;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn session(server: &Server) -> Client {
    DialectClient::new(Protocol::SessionsV1, server).client
}

fn send(client: &mut Client, target: &str, body: &str) -> Response {
    let response = client.send("POST", target, body.as_bytes());
    assert_eq!(response.header("content-type"), Some("application/json"), "{body}");
    response
}

/// The body of a 200, with a key of the right form replaced by `KEY`.
fn golden(client: &mut Client, target: &str, body: &str) -> String {
    let response = send(client, target, body);
    assert_eq!(response.status, 200, "{body}: {}", response.text());
    let text = response.text();
    match response.json()["key"].as_str() {
        Some(key) if is_fresh_key(key) => text.replace(key, "KEY"),
        _ => text,
    }
}

fn is_fresh_key(key: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    key.len() == 36
        && key.char_indices().all(|(at, c)| match dashes.contains(&at) {
            true => c == '-',
            false => c.is_ascii_digit() || ('a'..='f').contains(&c),
        })
}

#[test]
fn lock_is_taken_contended_renewed_and_released() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) = (session(&server), session(&server));
    let held = send(&mut one, "/v1/lock", r#"{"name":"My lock","lock_timeout_seconds":60}"#);
    let (key, token) = (held.json()["key"].clone(), held.json()["fencing_token"].clone());
    let key = key.as_str().expect("text");
    assert!(is_fresh_key(key));
    let start =
        format!(r#"{{"locked":true,"name":"My lock","key":"{key}","fencing_token":{token},"expires_in_seconds":"#);
    assert!(held.text().starts_with(&start), "{}", held.text());
    let expires_in = held.json()["expires_in_seconds"].as_f64().expect("a number");
    assert!(expires_in > 59.0 && expires_in <= 60.0);

    let contended = golden(&mut two, "/v1/lock", r#"{"name":"My lock"}"#);
    assert_eq!(contended, r#"{"locked":false,"name":"My lock","key":"KEY"}"#);

    for path in ["/v1/renew", "/v1/refreshlock"] {
        let renewed =
            send(&mut one, path, &format!(r#"{{"name":"My lock","key":"{key}","lockTimeoutSeconds":"90.5"}}"#));
        assert_eq!((&renewed.json()["locked"], &renewed.json()["key"]), (&json!(true), &json!(key)));
        let expires_in = renewed.json()["expires_in_seconds"].as_f64().expect("a number");
        assert!(expires_in > 89.0 && expires_in <= 90.5, "{expires_in}");
        assert!(renewed.json().get("error").is_none());
    }
    // Name and key are enough to unlock, from any session.
    let unlock = format!(r#"{{"name":"My lock","key":"{key}"}}"#);
    assert_eq!(golden(&mut two, "/v1/unlock", &unlock), r#"{"unlocked":true,"name":"My lock"}"#);
}

#[test]
fn failed_operations_are_200_with_ldlms_error() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    assert!(send(&mut client, "/v1/lock", r#"{"name":"pool","size":2}"#).json()["locked"] == true);
    assert!(send(&mut client, "/v1/lock", r#"{"name":"endless"}"#).json()["locked"] == true);
    let locked = |name: &str, key: &str, code: &str, message: &str| {
        format!(r#"{{"locked":false,"name":"{name}","key":"{key}","error":{{"code":"{code}","message":"{message}"}}}}"#)
    };
    let unlocked = |name: &str, code: &str, message: &str| {
        format!(r#"{{"unlocked":false,"name":"{name}","error":{{"code":"{code}","message":"{message}"}}}}"#)
    };
    let timeout = "lock timeout must be greater than 0";
    let gone = "lock does not exist or invalid key";
    let rows = [
        ("/v1/lock", "", locked("", "KEY", "Unknown", "lock name cannot be empty")),
        ("/v1/lock", "{}", locked("", "KEY", "Unknown", "lock name cannot be empty")),
        ("/v1/lock", r#"{"name":"a","lock_timeout_seconds":-1}"#, locked("a", "", "Unknown", timeout)),
        (
            "/v1/lock",
            r#"{"name":"a","wait_timeout_seconds":-1}"#,
            locked("a", "", "Unknown", "wait timeout must be greater than 0"),
        ),
        (
            "/v1/lock",
            r#"{"name":"a","size":0}"#,
            locked("a", "KEY", "InvalidLockSize", "lock size must be greater than 0"),
        ),
        ("/v1/lock", r#"{"name":"pool"}"#, locked("pool", "KEY", "LockSizeMismatch", "lock size mismatch")),
        (
            "/v1/lock",
            r#"{"name":"endless","wait_timeout_seconds":0.1}"#,
            locked("endless", "KEY", "LockWaitTimeout", "timeout waiting to acquire lock"),
        ),
        ("/v1/unlock", "", unlocked("", "LockDoesNotExist", "a lock by that name does not exist")),
        (
            "/v1/unlock",
            r#"{"name":"never","key":"x"}"#,
            unlocked("never", "LockDoesNotExist", "a lock by that name does not exist"),
        ),
        ("/v1/unlock", r#"{"name":"endless","key":"x"}"#, unlocked("endless", "InvalidLockKey", "invalid lock key")),
        (
            "/v1/renew",
            r#"{"name":"never","key":"bad","lock_timeout_seconds":5}"#,
            locked("never", "bad", "Unknown", gone),
        ),
        (
            "/v1/renew",
            r#"{"name":"pool","key":"bad","lock_timeout_seconds":5}"#,
            locked("pool", "bad", "Unknown", gone),
        ),
    ];
    for (path, body, expected) in rows {
        assert_eq!(golden(&mut client, path, body), expected, "{path} {body}");
    }
}

#[test]
fn invalid_renewal_is_400_and_not_a_lost_hold() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    let mut take = |body: &str| send(&mut client, "/v1/lock", body).json()["key"].as_str().expect("a key").to_owned();
    let (endless, leased) = (take(r#"{"name":"endless"}"#), take(r#"{"name":"leased","lock_timeout_seconds":60}"#));
    let rows = [
        (format!(r#"{{"name":"endless","key":"{endless}","lock_timeout_seconds":5}}"#), "without a lease"),
        (format!(r#"{{"name":"leased","key":"{leased}"}}"#), "lock_timeout_seconds is needed"),
        (
            format!(r#"{{"name":"leased","key":"{leased}","lock_timeout_seconds":null}}"#),
            "lock_timeout_seconds is needed",
        ),
        (format!(r#"{{"name":"leased","key":"{leased}","lock_timeout_seconds":0}}"#), "greater than 0"),
        (format!(r#"{{"name":"leased","key":"{leased}","lockTimeoutSeconds":"-1"}}"#), "greater than 0"),
        (format!(r#"{{"key":"{leased}","lock_timeout_seconds":5}}"#), "name is needed"),
        (r#"{"name":"leased","lock_timeout_seconds":5}"#.to_owned(), "key is needed"),
        (String::new(), "is needed"),
    ];
    for path in ["/v1/renew", "/v1/refreshlock"] {
        for (body, naming) in &rows {
            let answer = send(&mut client, path, body);
            assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text());
            let json = answer.json();
            assert!(json.get("locked").is_none() && json["code"] == 3, "{path} {body}: {json}");
            assert!(json["message"].as_str().is_some_and(|text| text.contains(naming)), "{path} {body}: {json}");
        }
    }
    let unlock = |client: &mut Client, name: &str, key: &str| {
        send(client, "/v1/unlock", &format!(r#"{{"name":"{name}","key":"{key}"}}"#)).json()["unlocked"] == true
    };
    assert!(unlock(&mut client, "endless", &endless) && unlock(&mut client, "leased", &leased), "both were held");
    let late = send(&mut client, "/v1/renew", &rows[0].0);
    assert_eq!((late.status, &late.json()["locked"]), (200, &json!(false)), "now it is lost");
}

#[test]
fn zero_wait_tries_once() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) = (session(&server), session(&server));
    assert_eq!(send(&mut one, "/v1/lock", r#"{"name":"once","lock_timeout_seconds":600}"#).json()["locked"], true);
    for zero in ["0", "0.0", "\"0\"", "-0.0"] {
        let body = format!(r#"{{"name":"once","wait_timeout_seconds":{zero}}}"#);
        let refused = golden(&mut two, "/v1/lock", &body);
        assert_eq!(refused, r#"{"locked":false,"name":"once","key":"KEY"}"#, "{body}");
    }
    let free = send(&mut two, "/v1/lock", r#"{"name":"free","wait_timeout_seconds":0}"#);
    assert_eq!(free.json()["locked"], true);
}

#[test]
fn released_lock_keeps_its_size_for_a_while() {
    let spec = Spec::in_memory().configuration("[locks]\nremembered_size_idle = \"4s\"\n");
    let server = spec.start();
    let mut client = session(&server);
    let key = send(&mut client, "/v1/lock", r#"{"name":"old","size":3}"#).json()["key"].clone();
    let unlock = format!(r#"{{"name":"old","key":{key}}}"#);
    assert_eq!(golden(&mut client, "/v1/unlock", &unlock), r#"{"unlocked":true,"name":"old"}"#);
    let answer = |client: &mut Client| send(client, "/v1/unlock", &unlock).json()["error"]["code"].clone();
    assert_eq!(answer(&mut client), "InvalidLockKey");
    let other_size = send(&mut client, "/v1/lock", r#"{"name":"old"}"#).json();
    assert_eq!(other_size["error"]["code"], "LockSizeMismatch", "the idle size binds");
    until("the size to be forgotten", || answer(&mut client) == "LockDoesNotExist");
}

#[test]
fn semaphore_has_as_many_holders_as_its_size() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    let mut take = || send(&mut client, "/v1/lock", r#"{"name":"three","size":3}"#).json();
    let holds: Vec<Value> = (0..3).map(|_| take()).collect();
    assert!(holds.iter().all(|hold| hold["locked"] == true));
    assert_eq!(take()["locked"], false);
    assert!(holds[0]["key"] != holds[1]["key"] && holds[1]["key"] != holds[2]["key"]);
}

#[test]
fn json_is_read_like_protobufs_mapping() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    for (at, body) in [
        r#"{"name":"N","lockTimeoutSeconds":5,"size":"1"}"#,
        r#"{"name":"N","lock_timeout_seconds":"5","size":1.0}"#,
        r#"{"name":"N","lock_timeout_seconds":5e0,"size":1e0,"metadata":{"deep":"1"}}"#,
        r#"{"name":"N","size":null,"lock_timeout_seconds":null,"wait_timeout_seconds":null} trailing"#,
        "{\"name\":\"N\"}\u{0}",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("map-{at}-日本語");
        let answer = send(&mut client, "/v1/lock?ignored=1", &body.replace('N', &name));
        assert_eq!(answer.json()["locked"], true, "{body}: {}", answer.text());
        assert!(answer.text().contains(&name), "UTF-8 is not escaped: {}", answer.text());
    }
}

#[test]
fn any_content_type_is_accepted() {
    let server = Spec::in_memory().start();
    for content_type in ["application/x-www-form-urlencoded", "text/plain", "nonsense"] {
        let mut client = Client::tls(&server).with_header("Content-Type", content_type);
        client.send("POST", "/session", b"");
        let body = format!(r#"{{"name":"{}"}}"#, content_type.replace('/', "-"));
        assert_eq!(client.send("POST", "/v1/lock", body.as_bytes()).json()["locked"], true);
    }
}

#[test]
fn malformed_message_is_the_gateways_400() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    for body in [
        "null",
        "[]",
        "{",
        "x",
        "\"name\"",
        r#"{"name":5}"#,
        r#"{"name":"a","size":2.5}"#,
        r#"{"name":"a","size":3000000000}"#,
        r#"{"name":"a","lock_timeout_seconds":1,"lockTimeoutSeconds":1}"#,
        r#"{"name":"a","name":"a"}"#,
        r#"{"name":"a","metadata":{"k":1}}"#,
    ] {
        let answer = send(&mut client, "/v1/lock", body);
        assert_eq!(answer.status, 400, "{body}");
        let json = answer.json();
        assert_eq!((&json["code"], &json["details"]), (&json!(3), &json!([])), "{body}");
        assert!(answer.text().starts_with("{\"code\":3,\"message\":\""), "{}", answer.text());
        assert!(answer.cookie("ldlm-session").is_some(), "the session goes on");
    }
}

#[test]
fn wrong_method_is_405_and_wrong_path_404() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = client.send(method, "/v1/lock", b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
        assert_eq!(answer.text(), r#"{"code":12,"message":"Method Not Allowed","details":[]}"#);
        assert!(answer.cookie("ldlm-session").is_some());
    }
    assert_eq!(client.send("HEAD", "/v1/unlock", b"").status, 405);
    for (method, path) in [("POST", "/v1/lock/"), ("POST", "/session/"), ("GET", "/session"), ("PATCH", "/session")] {
        let answer = client.send(method, path, b"");
        assert_eq!(answer.status, 404, "{method} {path}");
        assert_eq!(answer.text(), r#"{"code":5,"message":"Not Found","details":[]}"#);
        assert!(answer.cookie("ldlm-session").is_some());
    }
}

#[test]
fn malformed_grpc_timeout_is_400() {
    let server = Spec::in_memory().start();
    let mut bad = session(&server).with_header("Grpc-Timeout", "xx");
    let answer = bad.send("POST", "/v1/lock", br#"{"name":"g"}"#);
    assert_eq!(
        answer.text(),
        r#"{"code":3,"message":"invalid grpc-timeout: xx","details":[],"reason":"invalid-field","field":"Grpc-Timeout"}"#
    );
    assert_eq!(answer.status, 400);
    let mut good = session(&server).with_header("Grpc-Timeout", "10S");
    assert_eq!(good.send("POST", "/v1/lock", br#"{"name":"g"}"#).json()["locked"], true);
}

#[test]
fn hold_without_a_lease_ends_with_its_session() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    for body in [r#"{"name":"e1"}"#, r#"{"name":"e2","lock_timeout_seconds":0}"#] {
        let answer = send(&mut client, "/v1/lock", body);
        let left = answer.json()["expires_in_seconds"].as_f64();
        assert!(left.is_some_and(|left| left > 590.0 && left <= 600.0), "{}", answer.text());
    }
}

#[test]
fn renewal_extends_or_shortens_the_lease() {
    let server = Spec::in_memory().start();
    let mut client = session(&server);
    let held = send(&mut client, "/v1/lock", r#"{"name":"kept","lock_timeout_seconds":4}"#).json();
    let mut other = DialectClient::new(Protocol::GetLock, &server);
    let renew = |client: &mut Client, seconds: f64| {
        let body = json!({"name": "kept", "key": held["key"], "lock_timeout_seconds": seconds});
        client.post("/v1/renew", &body).json()
    };
    let asked = Instant::now();
    assert_eq!(renew(&mut client, 600.0)["fencing_token"], held["fencing_token"], "renewing is no new grant");
    until("the first lease to be over", || {
        assert!(other.take("kept").is_none(), "a renewed hold ended");
        asked.elapsed() > Duration::from_millis(4_100)
    });
    assert_eq!(renew(&mut client, 0.2)["locked"], true);
    assert!(other.wait("kept", 30.0).is_some(), "the shorter lease counts");
    let late = renew(&mut client, 5.0);
    assert_eq!(late["error"]["message"], "lock does not exist or invalid key");
}
