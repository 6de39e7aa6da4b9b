//! The Redis protocol: what its commands and scripts do to the one lock table.

use crate::dialects::dialect_client::{DialectClient, Protocol, until};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::redis::{RELEASE, RedisClient, Reply};
use crate::support::spec::Spec;
use serde_json::json;
use sha2::{Digest, Sha256};

/// The digests of node-redlock's scripts.
const TAKE_ALL: &str = "96da70f7716f27d278a5218544df37fd8b0a5e4c";
const RENEW_ALL: &str = "aed6f382e410db8ba7926d4e5e9aab410bf2a78a";
const RELEASE_EACH: &str = "e4612211c9f8f51c257e26e056b0a654b3187242";

const OK: &str = "OK";

fn status(text: &str) -> Reply {
    Reply::Status(text.to_owned())
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.to_owned())
}

fn start() -> (Server, RedisClient) {
    let server = Spec::in_memory().redis().start();
    let client = RedisClient::new(&server);
    (server, client)
}

#[test]
fn key_of_another_dialect_is_held_and_its_value_proves_nothing() {
    let (server, mut redis) = start();
    let mut other = DialectClient::new(Protocol::LockUnlock, &server);
    other.take_for("a", 60.0).expect("free");
    assert_eq!(redis.ask(&["SET", "a", "1", "NX", "PX", "1000"]), Reply::Nil);
    assert_eq!(
        (redis.ask(&["GET", "a"]), redis.ask(&["EXISTS", "a", "b"])),
        (bulk("latchd:lock-unlock"), Reply::Integer(1))
    );
    let Reply::Integer(remaining) = redis.ask(&["PTTL", "a"]) else { panic!("no number") };
    assert!((1..=60_000).contains(&remaining), "{remaining}");
    assert_eq!(redis.ask(&["EVAL", RELEASE, "1", "a", "latchd:lock-unlock"]), Reply::Integer(0));
    assert!(other.give_back("a"));
    assert_eq!((redis.ask(&["PTTL", "a"]), redis.ask(&["TYPE", "a"])), (Reply::Integer(-2), status("none")));
    Client::tls(&server).send("POST", "/lock/endless", b"");
    assert_eq!(
        (redis.ask(&["TTL", "endless"]), redis.ask(&["TYPE", "endless"])),
        (Reply::Integer(-1), status("string"))
    );
}

#[test]
fn equal_value_is_held_by_another() {
    let (server, mut redis) = start();
    assert_eq!(redis.ask(&["SET", "a", "1", "NX"]), status(OK));
    for client in [&mut RedisClient::new(&server), &mut redis] {
        assert_eq!(client.ask(&["SET", "a", "1", "NX", "PX", "60000"]), Reply::Nil);
        assert_eq!(client.ask(&["SETNX", "a", "1"]), Reply::Integer(0));
        assert_eq!(client.ask(&["EVALSHA", TAKE_ALL, "1", "a", "1", "60000"]), Reply::Integer(0));
    }
}

#[test]
fn several_keys_are_one_hold() {
    let (_server, mut redis) = start();
    let lease = |number: i64| Reply::Integer(number);
    assert_eq!(redis.ask(&["EVALSHA", TAKE_ALL, "3", "a", "b", "c", "v", "30000"]), lease(3));
    assert_eq!(redis.ask(&["EVALSHA", TAKE_ALL, "2", "c", "d", "w", "30000"]), lease(0));
    assert_eq!(redis.ask(&["EXISTS", "a", "b", "c", "d"]), lease(3), "all or none");
    assert_eq!(redis.ask(&["EVALSHA", RENEW_ALL, "3", "c", "a", "b", "v", "60000"]), lease(3));
    assert_eq!(redis.ask(&["EVALSHA", RENEW_ALL, "3", "c", "a", "b", "w", "60000"]), lease(0));
    assert_eq!(redis.ask(&["EVALSHA", RELEASE_EACH, "2", "a", "b", "w"]), lease(0));
    for part in [&["EVALSHA", RELEASE_EACH, "2", "a", "b", "v"][..], &["EVAL", RELEASE, "1", "a", "v"]] {
        let text = redis.refused(part);
        assert!(text.starts_with("ERR other-names: ") && text.contains("3 names"), "{text}");
    }
    assert_eq!(redis.ask(&["EVALSHA", RELEASE_EACH, "3", "b", "c", "a", "v"]), lease(3));
    // Keys that were taken one by one, and one that is free.
    for key in ["a", "b"] {
        assert_eq!(redis.ask(&["SET", key, "v", "NX"]), status(OK));
    }
    assert_eq!(redis.ask(&["EVALSHA", RENEW_ALL, "2", "a", "b", "v", "1000"]), lease(2));
    assert_eq!(redis.ask(&["EVALSHA", RENEW_ALL, "3", "a", "b", "c", "v", "1000"]), lease(0));
    assert_eq!(redis.ask(&["EVALSHA", RELEASE_EACH, "3", "a", "b", "c", "v"]), lease(2));
    assert!(redis.refused(&["EVALSHA", TAKE_ALL, "2", "a", "a", "v", "1000"]).contains("twice"));
}

#[test]
fn connection_releases_and_renews_only_what_it_took() {
    let key = "0123456789abcdef-client";
    let digest: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!(
        "[access]\nkeys = [{{ name = \"c\", sha256 = \"{digest}\", role = \"client\", prefixes = [\"u/\"] }}]\n"
    );
    let server = Spec::in_memory().redis().configuration(text).api_key("the-admin-of-the-tests").start();
    let (mut holder, mut other) = (RedisClient::with_key(&server, key), RedisClient::with_key(&server, key));
    assert_eq!(holder.ask(&["SET", "u/a", "secret-value", "NX", "PX", "60000"]), status(OK));
    for attempt in [&["DEL", "u/a"][..], &["UNLINK", "u/a"], &["SET", "u/a", "x"], &["PEXPIRE", "u/a", "1"]] {
        let text = other.refused(attempt);
        assert!(text.starts_with("NOPERM forbidden: ") && text.contains("admin role"), "{text}");
    }
    for outside in [&["SET", "a", "x", "NX"][..], &["GET", "a"], &["DEL", "a"], &["EVAL", RELEASE, "1", "a", "x"]] {
        assert!(other.refused(outside).starts_with("NOPERM forbidden: "), "{outside:?}");
    }
    assert_eq!(holder.ask(&["PEXPIRE", "u/a", "90000"]), Reply::Integer(1));
    assert_eq!(holder.ask(&["DEL", "u/a", "u/b"]), Reply::Integer(1));
    assert_eq!(other.ask(&["SETNX", "u/a", "secret-value"]), Reply::Integer(1));
    // The same value as before, and yet another hold.
    assert!(holder.refused(&["DEL", "u/a"]).starts_with("NOPERM"));
    let mut admin = RedisClient::with_key(&server, "the-admin-of-the-tests");
    assert_eq!(admin.ask(&["DEL", "u/a"]), Reply::Integer(1));
    until("the line of the forced release", || server.stderr().contains("forced the release of \"u/a\""));
    assert!(!server.stderr().contains("secret-value"), "{}", server.stderr());
}

#[test]
fn value_is_shown_to_no_listing() {
    let (server, mut redis) = start();
    assert_eq!(redis.ask(&["SET", "a", "secret-value", "NX"]), status(OK));
    let shown = Client::tls(&server).get("/v1/locks/a").json();
    let holder = &shown["holders"][0];
    assert_eq!((&holder["dialect"], &holder["owner"]), (&json!("redis"), &json!(null)), "{shown}");
    let page = Client::tls(&server).get("/").text();
    assert!(page.contains("via Redis") && !page.contains("c2VjcmV0LXZhbHVl"), "{page}");
}

#[test]
fn poller_does_not_overtake_a_waiter() {
    let (server, mut redis) = start();
    assert_eq!(redis.ask(&["SET", "a", "v", "NX"]), status(OK));
    let mut waiter = DialectClient::new(Protocol::LockUnlock, &server);
    let waits = std::thread::spawn(move || waiter.wait("a", 20.0).is_some());
    super::dialect_client::until_waiting(&server, "a", 1);
    assert_eq!(redis.ask(&["EVAL", RELEASE, "1", "a", "v"]), Reply::Integer(1));
    assert_eq!(redis.ask(&["SET", "a", "v", "NX"]), Reply::Nil);
    assert!(waits.join().expect("it lives"));
}

#[test]
fn grant_is_released_if_its_client_is_gone() {
    let (server, mut redis) = start();
    let mut lost = RedisClient::new(&server);
    assert_eq!(lost.ask(&["PING"]), status("PONG"));
    server.freeze_whole();
    lost.send(b"*5\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nv\r\n$2\r\nNX\r\n$2\r\nPX\r\n");
    lost.send(&crate::support::redis::encoded(&[b"SET", b"b", b"v", b"NX"]));
    drop(lost);
    server.thaw();
    until("the hold to end", || redis.ask(&["EXISTS", "a", "b"]) == Reply::Integer(0));
}

#[test]
fn connections_end_with_the_server() {
    let server = Spec::in_memory().redis().configuration("[server]\ndrain_timeout = \"10m\"\n").start();
    let (mut redis, mut held) = (RedisClient::new(&server), RedisClient::new(&server));
    assert_eq!(held.ask(&["SET", "a", "v", "NX"]), status(OK));
    let ended = server.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(redis.is_closed() && held.is_closed());
}

#[test]
fn fencing_token_is_that_of_the_value() {
    let (_server, mut redis) = start();
    redis.ask(&["SET", "a", "v", "NX"]);
    let Reply::Integer(first) = redis.ask(&["LATCHD.TOKEN", "a"]) else { panic!("no token") };
    assert_eq!(redis.ask(&["LATCHD.TOKEN", "a", "w"]), Reply::Nil);
    redis.ask(&["DEL", "a"]);
    assert_eq!(redis.ask(&["LATCHD.TOKEN", "a"]), Reply::Nil);
    redis.ask(&["SET", "a", "v", "NX"]);
    let Reply::Integer(second) = redis.ask(&["LATCHD.TOKEN", "a", "v"]) else { panic!("no token") };
    assert!(second > first, "{second} after {first}");
}
