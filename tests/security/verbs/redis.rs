//! The verbs of the Redis protocol.

use super::super::rights::{EXPIRED, KEY, PART, READER, keys};
use super::state;
use crate::support::process::Server;
use crate::support::redis::{RELEASE, RedisClient, Reply};
use crate::support::spec::Spec;

/// node-redlock's script that takes several keys.
const TAKE_ALL: &str = "96da70f7716f27d278a5218544df37fd8b0a5e4c";
const RENEW: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end";

/// What is asked of the key `k`, whether an admin's connection has taken it before, and whether it only reads.
const VERBS: [(&[&str], bool, bool); 16] = [
    (&["SET", "k", "v", "NX"], false, false),
    (&["SET", "k", "v"], false, false),
    (&["SETNX", "k", "v"], false, false),
    (&["EVALSHA", TAKE_ALL, "2", "part/own", "k", "v", "1000"], false, false),
    (&["EVAL", RELEASE, "1", "k", "v"], true, false),
    (&["EVAL", RENEW, "1", "k", "v", "1000"], true, false),
    (&["DEL", "k"], true, false),
    (&["UNLINK", "k"], true, false),
    (&["EXPIRE", "k", "9"], true, false),
    (&["PEXPIRE", "k", "9000"], true, false),
    (&["GET", "k"], true, true),
    (&["MGET", "k"], true, true),
    (&["EXISTS", "k"], true, true),
    (&["PTTL", "k"], true, true),
    (&["LATCHD.TOKEN", "k"], true, true),
    (&["EVAL", "return { redis.call('get', KEYS[1]), redis.call('pttl', KEYS[1]) }", "1", "k"], true, true),
];

/// A connection of somebody with a secret.
fn caller(server: &Server, secret: Option<&str>) -> RedisClient {
    secret.map_or_else(|| RedisClient::new(server), |secret| RedisClient::with_key(server, secret))
}

#[test]
fn redis_needs_the_right_role() {
    let server = Spec::in_memory().redis().api_key(KEY).configuration(keys()).start();
    for (verb, is_held, reads) in VERBS {
        let mut admin = RedisClient::with_key(&server, KEY);
        if is_held {
            assert_eq!(admin.ask(&["SET", "k", "v", "NX"]), Reply::Status("OK".to_owned()));
        }
        let before = state(&server);
        for (secret, word) in [(None, "NOAUTH "), (Some(READER), "NOPERM "), (Some(PART), "NOPERM ")] {
            let mut caller = caller(&server, secret);
            match caller.ask(verb) {
                Reply::Error(text) => assert!(text.starts_with(word), "{verb:?}: {text}"),
                answer => assert!(reads && secret == Some(READER), "{verb:?} with {secret:?}: {answer:?}"),
            }
            assert_eq!(state(&server), before, "{verb:?} with {secret:?} left something behind");
        }
        let mut expired = RedisClient::new(&server);
        assert!(matches!(expired.ask(&["AUTH", EXPIRED]), Reply::Error(_)));
        assert!(matches!(expired.ask(verb), Reply::Error(text) if text.starts_with("NOAUTH ")), "{verb:?}");
        assert_eq!(state(&server), before, "{verb:?} with an expired key left something behind");
        let answer = admin.ask(verb);
        assert!(!matches!(answer, Reply::Error(_) | Reply::Nil), "{verb:?} by an admin: {answer:?}");
        admin.ask(&["DEL", "k", "part/own"]);
    }
}
