//! The scripts that lock libraries send. Those that anybody would write are here as texts of our own; a longer one by the
//! digest of its form, with the library that sends it.

use super::shape::{Cases, Returns, Shape, Unit};
use Returns::{Failure, Nil, Number, Ok};
use Unit::{Milliseconds, Seconds};

const ONE: Cases = Cases::ONE;

/// By text.
pub const TEXTS: &[(&str, Shape)] = &[
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
        Shape::Release(ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0",
        Shape::Release(ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('unlink', KEYS[1]) else return 0 end",
        Shape::Release(ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) return 1 else return 0 end",
        Shape::Release(ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) return 1 end return 0",
        Shape::Release(ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) return true end return false",
        Shape::Release(Cases::TRUE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end",
        Shape::Release(Cases::TRUE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end",
        Shape::Renew(Milliseconds, ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0",
        Shape::Renew(Milliseconds, ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('pexpire', KEYS[1], ARGV[2]) return 1 else return 0 end",
        Shape::Renew(Milliseconds, ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('pexpire', KEYS[1], ARGV[2]) return 1 end return 0",
        Shape::Renew(Milliseconds, ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('pexpire', KEYS[1], ARGV[2]) return true end return false",
        Shape::Renew(Milliseconds, Cases::TRUE),
    ),
    (
        "local value = redis.call('get', KEYS[1]) if value == ARGV[1] then redis.call('pexpire', KEYS[1], ARGV[2]) return 1 end return 0",
        Shape::Renew(Milliseconds, ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('expire', KEYS[1], ARGV[2]) else return 0 end",
        Shape::Renew(Seconds, ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('expire', KEYS[1], ARGV[2]) end return 0",
        Shape::Renew(Seconds, ONE),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) else return 0 end",
        Shape::Renew(Milliseconds, Cases::new(Ok, Number(0), Number(0))),
    ),
    (
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pttl', KEYS[1]) else return -3 end",
        Shape::Remaining(Milliseconds, Cases::new(Nil, Number(-3), Number(-3))),
    ),
    ("return { redis.call('get', KEYS[1]), redis.call('pttl', KEYS[1]) }", Shape::ValueAndRemaining),
];

/// By digest of the form.
pub const FORMS: &[(&str, Shape)] = &[
    // redis-py's Lock: release, extend, reacquire.
    ("ee1c8a5339f00ad1048ec30b4befb070584ee705", Shape::Release(ONE)),
    ("bccda52e44bb255e19186bcba93498f8b37ae773", Shape::Extend),
    ("d8cc5fd5af0342980ab0b728c1149944429a42f8", Shape::Renew(Milliseconds, ONE)),
    // pottery: acquired.
    ("31814dd00bfbe9456763c10ac444ca3218ff3f24", Shape::Remaining(Milliseconds, Cases::new(Nil, Number(0), Number(0)))),
    // python-redis-lock: release, extend. What waits for the list of its second key is not served.
    ("c3cce3bb93561391936fedf80ee5043419d63086", Shape::Release(INVERSE)),
    ("955fe31232dd5eac3996b43fb0e8558d6dbc25e1", Shape::Renew(Seconds, INVERSE)),
    // node-redlock and @sesamecare-oss/redlock: acquire, extend, release.
    ("b3b8f0cb29c5488b1924a3fe328d738d9aa8a3b2", Shape::TakeAll),
    ("5ad82c57275693d54c18ed2f68f41830cc35893c", Shape::RenewAll(ONE)),
    ("1ad2ed2ee6a2c1f743b74d0ea69cb4822f1cbc0c", Shape::ReleaseEach),
    // redsync: delete, touch with SET NX.
    ("1fa2012cfd0f80922895096005fcd670b0b1d17b", Shape::Release(Cases::new(Number(1), Number(-1), Number(0)))),
    ("db137073e63088296906f3969d4103bbba24f7d4", Shape::Obtain(ONE)),
    // redlock-rb: lock.
    ("c1127000e777249fee0d7214055c7d43111b233a", Shape::ObtainIfAsked),
    // aioredlock: set, unset, ttl.
    ("78f5f87c7c6b7fb32312ae2423d3adc8d79ebb09", Shape::Obtain(Cases::new(Ok, Ok, Failure))),
    ("1b46748bcd4d8932ad8277fd5775828c816f170e", Shape::Release(Cases::new(Number(1), Ok, Failure))),
    ("1185feea5efa8ebd96d48b8e2864f80367b8af8f", Shape::Remaining(Seconds, Cases::new(Nil, Failure, Failure))),
    // Spring Integration's RedisLockRegistry: obtain.
    ("8ebc3865ce79495bcc180e7dbdbfa12f0a3f7ae7", Shape::Obtain(Cases::TRUE)),
    // bsm/redislock: obtain with one key; obtain, refresh, release, pttl with several.
    ("f3032980bae69a98c6f92c2070a996d5c24aa0a2", Shape::ObtainByPart),
    ("dced21280931dc4edcf8a6c13301ce8657c91c85", Shape::ObtainByPart),
    ("4a804c691ac6cc7b001bfacbeb1d6301854876c9", Shape::RenewAll(Cases::OK)),
    ("b73baccfec44499c62791f68ca7af56593e0b169", Shape::ReleaseAll(Cases::OK)),
    ("f3f79836de1dfac525c476733ddba54303945426", Shape::RemainingAll),
];

/// The digests of texts that clients name before they send them, and how many arguments come before those of the shape.
pub const DIGESTS: &[(&str, usize, Shape)] = &[
    // redis-py: release, extend, reacquire.
    ("c3f8721cbb97f72bc19e972846bd7aaf91901658", 0, Shape::Release(ONE)),
    ("a4e8783852e6b949f9ef3a97212805108459a890", 0, Shape::Extend),
    ("1cac51482acf5858da00f6d685d68f886cd6b6b2", 0, Shape::Renew(Milliseconds, ONE)),
    // node-redlock: acquire, extend, release.
    ("96da70f7716f27d278a5218544df37fd8b0a5e4c", 0, Shape::TakeAll),
    ("aed6f382e410db8ba7926d4e5e9aab410bf2a78a", 0, Shape::RenewAll(ONE)),
    ("e4612211c9f8f51c257e26e056b0a654b3187242", 0, Shape::ReleaseEach),
    // @sesamecare-oss/redlock: the same after the number of a database.
    ("1b77b94aa78451d55dfa97e18819bfbfc596cb5b", 1, Shape::TakeAll),
    ("820e9778d2b6733e9ed771e4be90ae73a95a6f3b", 1, Shape::RenewAll(ONE)),
    ("df51f6837dcfe303d334e6abea9aeae192bab216", 1, Shape::ReleaseEach),
    // redlock-rb: unlock, lock, pttl.
    ("8e4905cee18e7c3188d10f2b8b170e403baed34f", 0, Shape::Release(ONE)),
    ("ceb2b2062e40c51a2b3963fd078bc71f11bdc65c", 0, Shape::ObtainIfAsked),
    ("78d2ca48a6dc9ef6892059792a3a0c5237733d64", 0, Shape::ValueAndRemaining),
    // redsync: delete, touch, touch with SET NX.
    ("e950836ed1e694540c503ef9972b8de518044d3b", 0, Shape::Release(Cases::new(Number(1), Number(-1), Number(0)))),
    ("d75bb8b5bd13532ddedd17762e772346e39b321e", 0, Shape::Renew(Milliseconds, ONE)),
    ("b6b55c439e02c6f52ffb8be7ec8c0d0ac816ea79", 0, Shape::Obtain(ONE)),
    // aioredlock: set, unset, ttl.
    ("c75a9bf1538efcdb1f383acc3e273c5089d57e58", 0, Shape::Obtain(Cases::new(Ok, Ok, Failure))),
    ("241e4ca540a1cc4ec1f32d9eb9f879e607d7e6e5", 0, Shape::Release(Cases::new(Number(1), Ok, Failure))),
    ("f908d3f43dbcabc68fc0c9ecaf1fa4a285ecdb0a", 0, Shape::Remaining(Seconds, Cases::new(Nil, Failure, Failure))),
];

const INVERSE: Cases = Cases::new(Number(0), Number(1), Number(1));
