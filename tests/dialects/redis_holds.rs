//! The Redis protocol: what a client may do to a hold without its value, and what a command that fails leaves behind.

use crate::support::redis::{RedisClient, Reply};
use crate::support::spec::Spec;

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
