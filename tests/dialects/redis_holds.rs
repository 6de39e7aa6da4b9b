//! The Redis protocol: what a client may do to a hold without its value, and what a command that fails leaves behind.

use crate::dialects::dialect_client::{DialectClient, Protocol};
use crate::support::client::Client;
use crate::support::frames::peak_memory;
use crate::support::redis::{RedisClient, Reply};
use crate::support::spec::Spec;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The digests of node-redlock's scripts.
const TAKE_ALL: &str = "96da70f7716f27d278a5218544df37fd8b0a5e4c";
const RELEASE_EACH: &str = "e4612211c9f8f51c257e26e056b0a654b3187242";

const CLIENT: &str = "0123456789abcdef-client";
const ADMIN: &str = "the-admin-of-the-tests";

fn ok() -> Reply {
    Reply::Status("OK".to_owned())
}

#[test]
fn set_that_is_refused_leaves_the_hold() {
    let server = Spec::in_memory().redis().start();
    let mut redis = RedisClient::new(&server);
    assert_eq!(redis.ask(&["SET", "a", "v", "NX", "PX", "30000"]), ok());
    for value in ["v", "w"] {
        let text = redis.refused(&["SET", "a", value, "PX", "99999999999999"]);
        assert!(text.contains("(locks.lease_max)") && !text.contains("released"), "{text}");
        assert_eq!(redis.ask(&["GET", "a"]), Reply::Bulk("v".to_owned()));
    }
    assert_eq!(redis.ask(&["SET", "a", "w", "PX", "30000"]), ok());
    assert_eq!(redis.ask(&["GET", "a"]), Reply::Bulk("w".to_owned()));
}

/// Nil is all that SET NX has room for; a plain SET is told why, and must not end a hold that it cannot take.
#[test]
fn set_of_a_frozen_key_is_told_of_the_freeze_and_leaves_the_hold() {
    let server = Spec::in_memory().redis().start();
    let mut redis = RedisClient::new(&server);
    assert_eq!(redis.ask(&["SET", "a", "v", "PX", "30000"]), ok());
    let freeze = json!({"reason": "release 7", "for_seconds": 60}).to_string();
    let mut admin = Client::plain(&server);
    for target in ["a", "free"] {
        let target = format!("/v1/freezes?target={target}");
        assert_eq!(admin.send("PUT", &target, freeze.as_bytes()).status, 200);
    }
    for key in ["a", "free"] {
        let text = redis.refused(&["SET", key, "w", "PX", "1000"]);
        assert!(text.starts_with(&format!("ERR frozen: \"{key}\" is frozen until 20")), "{text}");
        assert!(text.contains("Z: release 7") && !text.contains("released"), "{text}");
        assert_eq!(redis.ask(&["SET", key, "w", "NX", "PX", "1000"]), Reply::Nil);
    }
    assert_eq!(redis.ask(&["SET", "a", "v", "PX", "30000"]), ok(), "its holder renews it");
    assert_eq!(redis.ask(&["GET", "a"]), Reply::Bulk("v".to_owned()));
}

/// With a key of a client and one of an admin.
fn with_keys(settings: &str) -> Spec {
    let digest: String = Sha256::digest(CLIENT).iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = format!("[access]\nkeys = [{{ name = \"c\", sha256 = \"{digest}\", role = \"client\" }}]\n{settings}");
    Spec::in_memory().redis().configuration(keys).api_key(ADMIN)
}

#[test]
fn del_of_several_keys_releases_none_if_one_is_refused() {
    let server = with_keys("").start();
    let (mut mine, mut other) = (RedisClient::with_key(&server, CLIENT), RedisClient::with_key(&server, CLIENT));
    assert_eq!(mine.ask(&["SET", "mine", "v", "NX"]), ok());
    assert_eq!(other.ask(&["SET", "theirs", "v", "NX"]), ok());
    for command in ["DEL", "UNLINK"] {
        assert!(mine.refused(&[command, "mine", "theirs"]).starts_with("NOPERM "));
        assert_eq!(mine.ask(&["EXISTS", "mine", "theirs"]), Reply::Integer(2));
    }
    assert_eq!(mine.ask(&["DEL", "mine", "mine", "none"]), Reply::Integer(1));
}

#[test]
fn connection_remembers_what_it_holds_and_not_what_it_has_released() {
    let server = with_keys("[redis]\nconnection_holds_max = 2\n").start();
    let mut redis = RedisClient::with_key(&server, CLIENT);
    let release = |redis: &mut RedisClient, key: &str| redis.ask(&["EVALSHA", RELEASE_EACH, "1", key, "v"]);
    assert_eq!(redis.ask(&["SET", "leader", "v", "NX"]), ok());
    for key in ["a", "b", "c"] {
        assert_eq!(redis.ask(&["SET", key, "v", "NX"]), ok());
        assert_eq!(release(&mut redis, key), Reply::Integer(1));
        assert_eq!(redis.ask(&["SET", key, "v", "NX"]), ok());
        assert_eq!(redis.ask(&["DEL", key]), Reply::Integer(1));
    }
    assert_eq!(redis.ask(&["PEXPIRE", "leader", "30000"]), Reply::Integer(1));
    // Taken again, it is the newest.
    assert_eq!(redis.ask(&["SET", "d", "v", "NX"]), ok());
    assert_eq!(redis.ask(&["SET", "leader", "w"]), ok());
    assert_eq!(redis.ask(&["SET", "e", "v", "NX"]), ok());
    assert_eq!(redis.ask(&["DEL", "leader"]), Reply::Integer(1));
    assert!(redis.refused(&["DEL", "d"]).starts_with("NOPERM "), "beyond redis.connection_holds_max");
}

#[test]
fn hold_of_several_keys_ends_by_a_del_of_all_of_them_only() {
    let server = with_keys("[redis]\nconnection_holds_max = 2\n").start();
    let mut redis = RedisClient::with_key(&server, CLIENT);
    let mut admin = RedisClient::with_key(&server, ADMIN);
    let take = ["EVALSHA", TAKE_ALL, "3", "a", "b", "c", "v", "30000"];
    assert_eq!(redis.ask(&take), Reply::Integer(3));
    for client in [&mut redis, &mut admin] {
        for part in [&["DEL", "b"][..], &["DEL", "c", "b"], &["SET", "c", "w"], &["PEXPIRE", "c", "1"]] {
            let text = client.refused(part);
            assert!(text.starts_with("ERR other-names: ") && text.contains("3 names"), "{part:?}: {text}");
        }
        assert_eq!(client.ask(&["EXISTS", "a", "b", "c"]), Reply::Integer(3));
    }
    assert_eq!(redis.ask(&["DEL", "c", "a", "b", "a", "none"]), Reply::Integer(3));
    assert_eq!(redis.ask(&take), Reply::Integer(3));
    assert_eq!(admin.ask(&["DEL", "a", "b", "c"]), Reply::Integer(3));
    assert_eq!(admin.ask(&["EXISTS", "a", "b", "c"]), Reply::Integer(0));
}

#[test]
fn key_that_a_script_names_twice_counts_once() {
    let server = Spec::in_memory().redis().start();
    let mut redis = RedisClient::new(&server);
    for key in ["a", "b"] {
        assert_eq!(redis.ask(&["SET", key, "v", "NX"]), ok());
    }
    assert_eq!(redis.ask(&["EVALSHA", RELEASE_EACH, "4", "a", "a", "b", "a", "v"]), Reply::Integer(2));
}

#[test]
fn keys_that_are_read_again_and_again_cost_no_memory() {
    const READ_BYTES_MAX: u64 = 32 << 20;
    let server = Spec::in_memory().redis().start();
    let mut redis = RedisClient::new(&server);
    let mut reader = DialectClient::new(Protocol::SessionsV1, &server).client;
    for _ in 0..400 {
        let taken = reader.post("/v1/lock", &json!({"name": "a", "mode": "shared"})).json();
        assert_eq!(taken["locked"], true, "{taken}");
    }
    let keys = ["a"; 1023];
    let before = peak_memory(&server);
    let exist = redis.ask(&[&["EXISTS"][..], &keys].concat());
    assert_eq!(exist, Reply::Integer(1023));
    let values = redis.ask(&[&["MGET"][..], &keys].concat());
    assert_eq!(values, Reply::Array(vec![Reply::Bulk("latchd:sessions-v1".to_owned()); 1023]));
    let more = peak_memory(&server) - before;
    assert!(more < READ_BYTES_MAX, "{more} bytes");
}
