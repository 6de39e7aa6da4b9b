//! Keys of `access.keys_file`: what one opens ends with it, whatever is under way.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::client::Client;
use crate::support::console::log_in;
use crate::support::grpc::GrpcClient;
use crate::support::process::Server;
use crate::support::redis::RedisClient;
use crate::support::spec::Spec;
use crate::support::sse::Events;
use latchd::dialects::ldlm::proto::{LockRequest, LockResponse};
use serde_json::json;
use sha2::{Digest as _, Sha256};

const PATIENCE: Duration = Duration::from_secs(60);

/// A file of keys, and a server that watches it. Each key is its own name with `key-` before it.
struct Rig {
    server: Server,
    file: PathBuf,
    _home: tempfile::TempDir,
}

fn entry(name: &str, rest: &str) -> String {
    let digest: String = Sha256::digest(format!("key-{name}")).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[keys]]\nname = \"{name}\"\nsha256 = \"{digest}\"\n{rest}\n")
}

fn client(name: &str) -> String {
    entry(name, "role = \"client\"")
}

impl Rig {
    fn start(keys: &str) -> Rig {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("keys.toml");
        std::fs::write(&file, keys).expect("written");
        let access = format!("[access]\nkeys_file = {file:?}\nreload_interval = \"1h\"\n");
        let server = Spec::in_memory().redis().configuration(access).start();
        Rig { server, file, _home: home }
    }

    fn with(&self, name: &str) -> Client {
        Client::plain(&self.server).with_header("X-API-Key", &format!("key-{name}"))
    }

    fn status(&self, name: &str) -> u16 {
        self.with(name).get("/v1/locks").status
    }

    fn events(&self, name: &str) -> Events {
        let mut events = Events::open(self.server.http(), "/v1/events", &[&format!("x-api-key: key-{name}")]);
        events.expect("started");
        events
    }

    /// Replaces the file and has the server read it.
    fn replace(&self, keys: &str) {
        std::fs::write(&self.file, keys).expect("written");
        self.server.reload();
    }

    fn waiters(&self, name: &str, count: usize) {
        let (mut admin, begun) = (self.with("ops"), Instant::now());
        while admin.get(&format!("/v1/locks/{name}")).json()["waiters"].as_array().map_or(0, Vec::len) != count {
            assert!(begun.elapsed() < PATIENCE, "there are never {count} waiters");
        }
    }
}

fn last(mut events: Events) -> serde_json::Value {
    let mut last = serde_json::Value::Null;
    while let Some(block) = events.block() {
        last = block.data.unwrap_or(last);
    }
    last
}

#[test]
fn removed_key_ends_streams_waits_and_connections_and_keeps_its_hold() {
    let (ops, stays) = (entry("ops", "role = \"admin\""), client("stays"));
    let rig = Rig::start(&(ops.clone() + &stays + &client("goes")));
    let (mut goes, events, mut of_other) = (rig.with("goes"), rig.events("goes"), rig.events("stays"));
    assert_eq!(goes.post("/session", &json!({})).status, 201);
    assert_eq!(goes.post("/v1/lock", &json!({"name": "a", "lock_timeout_seconds": 600})).status, 200);
    let mut redis = RedisClient::with_key(&rig.server, "key-goes");
    redis.ask(&["GET", "a"]);
    let wait = json!({"name": "a", "wait_timeout_seconds": 600});
    std::thread::scope(|scope| {
        let waits = |name: &'static str| {
            let (mut waiter, wait) = (rig.with(name), wait.clone());
            move || {
                assert_eq!(waiter.post("/session", &json!({})).status, 201);
                waiter.post("/v1/lock", &wait)
            }
        };
        let (of_gone, of_other_key) = (scope.spawn(waits("goes")), scope.spawn(waits("stays")));
        let grpc = scope.spawn(|| {
            let grpc = GrpcClient::plain(&rig.server).with_metadata("x-api-key", "key-goes");
            let asked = LockRequest { name: "a".into(), wait_timeout_seconds: Some(600), ..LockRequest::default() };
            grpc.call::<_, LockResponse>("/ldlm.LDLM/Lock", asked).expect_err("given up").code()
        });
        rig.waiters("a", 3);
        rig.replace(&(ops + &stays));
        let given_up = of_gone.join().expect("no panic");
        assert_eq!(given_up.status, 401, "{}", given_up.text());
        assert!(given_up.text().contains("taken away or has expired while the request waited"), "{}", given_up.text());
        assert_eq!(grpc.join().expect("no panic"), tonic::Code::Unauthenticated);
        assert_eq!(last(events), json!({"event": "dropped", "why": "credential-ended"}));
        rig.waiters("a", 1);
        let mut admin = rig.with("ops");
        let held = admin.get("/v1/locks/a").json();
        assert_eq!(held["holders"].as_array().map(Vec::len), Some(1), "the hold stays: {held}");
        assert_eq!(goes.get("/v1/locks").status, 401, "on the connection that it had");
        assert!(redis.refused(&["GET", "a"]).starts_with("NOAUTH"));
        assert!(redis.read().is_err(), "the connection is closed");
        let key = held["holders"][0]["key"].as_str().expect("an admin sees it").to_owned();
        let ended = admin.delete(&format!("/v1/holds?name=a&key={key}&reason=its%20key%20is%20gone"));
        assert_eq!(ended.status, 200, "{}", ended.text());
        assert_eq!(of_other_key.join().expect("no panic").json()["locked"], true, "the waiter of another key goes on");
    });
    assert_eq!(of_other.expect("granted")["name"], "a", "the stream of another key goes on");
    assert_eq!(rig.status("stays"), 200);
}

#[test]
fn key_expires_under_an_open_stream_and_is_told_of() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let end = latchd::base::clock::rfc3339(now + 3);
    let brief = entry("brief", &format!("role = \"client\"\nexpires = \"{end}\""));
    let rig = Rig::start(&(entry("ops", "role = \"admin\"") + &brief));
    let events = rig.events("brief");
    assert_eq!(last(events), json!({"event": "dropped", "why": "credential-ended"}));
    let refused = rig.with("brief").get("/v1/locks");
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("this API key has expired"), "{}", refused.text());
    let session = rig.with("brief").send("POST", "/session", b"");
    assert!(session.status == 401 && session.text().contains("credential-expired"), "{}", session.text());
    let (mut ops, begun) = (rig.with("ops"), Instant::now());
    while !ops.get("/metrics").text().contains("latchd_keys{state=\"expired\"} 1") {
        assert!(begun.elapsed() < PATIENCE, "{}", rig.server.stderr());
    }
    let (begun, line) = (Instant::now(), "the key \"brief\" is in use, and expires soon");
    while !rig.server.stderr().contains(line) {
        assert!(begun.elapsed() < PATIENCE, "{}", rig.server.stderr());
    }
    let told = rig.server.stderr();
    assert!(!told.contains("key-brief"), "no key is logged");
}

#[test]
fn login_to_the_console_ends_with_its_key() {
    let (ops, goes) = (entry("ops", "role = \"admin\""), client("goes"));
    let rig = Rig::start(&(ops.clone() + &goes));
    let logged_in = |name: &str| {
        let mut browser = Client::plain(&rig.server);
        assert_eq!(log_in(&mut browser, &format!("key-{name}")).status, 303);
        assert_eq!(browser.get("/ui/rights").status, 200);
        browser
    };
    let (mut stays, mut ends) = (logged_in("ops"), logged_in("goes"));
    let cookie = format!("Cookie: latchd-console={}", ends.cookie("latchd-console").expect("a cookie"));
    let mut stream = Events::open(rig.server.http(), "/ui/stream", &[&cookie]);
    stream.expect("started");
    rig.replace(&ops);
    while stream.block().is_some() {}
    let refused = ends.get("/ui/rights");
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert_eq!(stays.get("/ui/rights").status, 200);
    rig.replace(&(ops + &goes));
    assert_eq!(ends.get("/ui/rights").status, 401, "the key is back, the login is not");
}

#[test]
fn bad_file_is_told_of_loudly_and_changes_nothing() {
    let keys = entry("ops", "role = \"admin\"") + &client("ci");
    let rig = Rig::start(&keys);
    rig.replace(&(client("ci") + &client("ci")));
    let (mut ops, begun) = (rig.with("ops"), Instant::now());
    while !ops.get("/metrics").text().contains("latchd_keys_file_stale 1") {
        assert!(begun.elapsed() < PATIENCE, "{}", rig.server.stderr());
    }
    assert_eq!((rig.status("ops"), rig.status("ci")), (200, 200));
    let told = |text: &str| {
        while !rig.server.stderr().contains(text) {
            assert!(begun.elapsed() < PATIENCE, "{}", rig.server.stderr());
        }
    };
    told("the keys that were read before stay");
    rig.replace(&keys);
    told("can be used again, and has the keys that are in use");
}

#[test]
fn file_without_a_key_lets_nobody_in() {
    let rig = Rig::start("keys = []\n");
    assert_eq!((Client::plain(&rig.server).get("/v1/locks").status, rig.status("ci")), (401, 401));
    rig.replace(&client("ci"));
    let begun = Instant::now();
    while rig.status("ci") != 200 {
        assert!(begun.elapsed() < PATIENCE, "{}", rig.server.stderr());
    }
}
