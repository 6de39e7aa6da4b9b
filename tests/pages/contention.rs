//! `GET /v1/contention`, `latchd top`, and the log line about a slow lock.

use super::{body, problem, with_session};
use crate::dialects::dialect_client::until;
use crate::security::rights::{KEY, PART, READER, keys, with};
use crate::support::client::Client;
use crate::support::process::{Server, run_to_end};
use crate::support::spec::Spec;
use serde_json::{Value, json};

fn take(client: &mut Client, name: &str, wait: f64) -> Value {
    body(&client.post("/v1/lock", &json!({"name": name, "lock_timeout_seconds": 60, "wait_timeout_seconds": wait})))
}

fn shown(client: &mut Client, query: &str) -> Vec<Value> {
    body(&client.get(&format!("/v1/contention{query}")))["locks"].as_array().expect("locks").clone()
}

fn names(locks: &[Value]) -> Vec<&str> {
    locks.iter().map(|lock| lock["name"].as_str().expect("a name")).collect()
}

/// Nobody waits for `calm`; a wait for `part/late` times out, and one for `busy` lasts until it is granted.
fn contended(server: &Server) -> std::thread::JoinHandle<Value> {
    let mut holder = with_session(with(server, KEY));
    let key = ["calm", "part/late", "busy"].map(|name| take(&mut holder, name, 0.0)["key"].clone())[2].clone();
    let mut waiter = with_session(with(server, KEY));
    assert_eq!(take(&mut waiter, "part/late", 0.05)["locked"], false);
    let waiting = std::thread::spawn(move || take(&mut waiter, "busy", 30.0));
    until("the wait", || names(&shown(&mut holder, "?by=waits")).contains(&"busy"));
    let busy = &shown(&mut holder, "?prefix=busy")[0];
    assert_eq!((&busy["waiting"], &busy["granted"], &busy["holds"]), (&json!(1), &json!(0), &json!(0)), "{busy}");
    // A busy machine may have held up the other wait.
    let late = shown(&mut holder, "?prefix=part/late")[0]["wait_seconds"].as_f64().expect("it has ended");
    until("a longer wait", || {
        let busy = shown(&mut holder, "?prefix=busy")[0]["wait_seconds"].as_f64();
        busy.is_some_and(|seconds| seconds >= late.max(0.05) + 0.01)
    });
    assert_eq!(holder.post("/v1/unlock", &json!({"name": "busy", "key": key})).status, 200);
    waiting
}

#[test]
fn contended_locks_are_shown_counted_and_logged() {
    let slow = "[log]\nslow_wait = \"50ms\"\nslow_hold = \"50ms\"\n";
    let server = Spec::in_memory().api_key(KEY).configuration(keys() + slow).start();
    assert_eq!(contended(&server).join().expect("granted")["locked"], true);
    let mut admin = with(&server, KEY);
    let locks = shown(&mut admin, "");
    assert_eq!(names(&locks), ["busy", "part/late"], "the longest wait first, and nothing that nobody waited for");
    let (busy, late) = (&locks[0], &locks[1]);
    let counted = |lock: &Value| ["waiting", "waits", "granted", "timeouts", "holds"].map(|field| lock[field].clone());
    assert_eq!((counted(busy), counted(late)), ([0, 1, 1, 0, 1].map(Value::from), [0, 1, 0, 1, 0].map(Value::from)));
    for (lock, field) in [(busy, "longest_wait_seconds"), (busy, "longest_hold_seconds"), (late, "wait_seconds")] {
        assert!(lock[field].as_f64().is_some_and(|seconds| (0.05..60.0).contains(&seconds)), "{field} of {lock}");
    }
    assert_eq!(names(&shown(&mut admin, "?by=timeouts&limit=1")), ["part/late"]);
    assert_eq!(names(&shown(&mut with(&server, READER), "?limit=1")), ["busy"], "a read-only key");
    assert_eq!(names(&shown(&mut with(&server, PART), "?limit=1")), ["part/late"], "cut after the filter");
    for query in ["by=name", "limit=0", "limit=1001", "sort=wait"] {
        problem(&admin.get(&format!("/v1/contention?{query}")), 400, "invalid-field");
    }
    problem(&Client::plain(&server).get("/v1/contention"), 401, "credential-missing");

    let url = format!("http://{}", server.http());
    let top = |arguments: &[&str]| run_to_end(&[&["top", "--url", &url, "--api-key", KEY], arguments].concat());
    let table = top(&[]).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("Locks waited for in the last") && lines[2].starts_with("NAME "), "{table}");
    assert!(lines[3].starts_with("busy ") && lines[4].starts_with("part/late ") && lines.len() == 5, "{table}");
    let json = top(&["--once", "--output", "json", "--by", "hold", "--limit", "1"]).stdout;
    assert_eq!(
        names(serde_json::from_str::<Value>(&json).expect("JSON")["locks"].as_array().expect("locks")),
        ["busy"]
    );
    assert!(top(&["--prefix", "none/"]).stdout.starts_with("Nobody waited for a lock in the last"));

    let log = server.stop().stderr;
    for line in [
        "slow lock: \"part/late\", held under token",
        "was not granted: a request gave up after 0.",
        "slow lock: \"busy\", held under token",
        "was granted after a wait of 0.",
        "slow lock: \"busy\" was held for 0.",
        " has it now, 0 wait",
    ] {
        assert!(log.contains(line), "no {line:?} in:\n{log}");
    }
    assert_eq!(log.matches("was granted after").count(), 1, "{log}");
    let held = log.lines().find(|line| line.contains("\"busy\" was held for")).expect("a line");
    let seconds = held.split("held_seconds=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a field");
    assert!(seconds.len() <= "0.123".len() || seconds.parse::<f64>().is_ok_and(|held| held >= 10.0), "{held}");
}
