//! `latchd freeze`, `latchd thaw` and `latchd freezes` against the binary, and what `latchd lock` tells of a freeze.

use super::holds::{take, worker};
use super::operate::{KEY, operate, refused, server};
use crate::support::in_time::some_attempt_within;
use crate::support::process::{Ended, Server, run_to_end};
use crate::support::spec::Spec;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PREFIX: [&str; 5] = ["freeze", "deploy/", "--prefix", "--reason", "release 7\u{1b}[2J"];

fn lock(server: &Server, name: &str, wait: &str) -> Ended {
    let url = format!("http://{}", server.http());
    let tried = || run_to_end(&["lock", name, "--wait", wait, "--url", &url, "--api-key", KEY, "--", "true"]);
    // A busy machine may keep the service from answering in time.
    let answered = (0..5).map(|_| tried()).find(|ended| !ended.stderr.contains("no answer in time"));
    answered.expect("an answer in time")
}

/// The rows of the listing, as JSON.
fn listed(server: &Server, name: &[&str]) -> Vec<Value> {
    let shown = operate(server, &[&["freezes"], name, &["--output", "json"]].concat()).stdout;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    shown["freezes"].as_array().expect("a list").clone()
}

#[test]
fn frozen_names_are_refused_with_their_reason_until_thawed() {
    let server = server();
    take(&mut worker(&server), json!({"name": "deploy/b"}));
    let frozen = operate(&server, &[&PREFIX[..], &["--for", "2h"]].concat());
    let told = "every name that starts with \"deploy/\" is frozen until 20";
    assert!(frozen.stdout.starts_with(told), "{} {}", frozen.stdout, frozen.stderr);
    assert!(frozen.stdout.ends_with("Z: release 7\\u{1b}[2J\n"), "{}", frozen.stdout);

    let once = lock(&server, "deploy/a", "0s");
    assert_eq!(once.status.code(), Some(75), "{}", once.stderr);
    assert!(once.stderr.starts_with(&format!("latchd: {told}")), "{}", once.stderr);
    assert!(once.stderr.ends_with("Z: release 7\\u{1b}[2J\n"), "{}", once.stderr);
    let told_of = |arguments: &[&str]| operate(&server, arguments).stderr;
    let why = told_of(&["locks", "--why", "deploy/a"]);
    assert!(why.starts_with(&format!("latchd: {told}")) && why.contains("nobody holds \"deploy/a\""), "{why}");
    let held = operate(&server, &["locks", "deploy/b", "--output", "json"]).stdout;
    let held: Value = serde_json::from_str(&held).expect("JSON");
    assert_eq!(held["locks"][0]["frozen"]["target"], "deploy/", "{held}");
    assert!(told_of(&["locks", "deploy/b"]).starts_with(&format!("latchd: {told}")));
    assert_eq!(
        told_of(&["locks", "--why", "other"]),
        "latchd: nothing to show: nobody holds \"other\" or waits for it, as far as this credential may see\n"
    );
    let waited = lock(&server, "deploy/b", "3s");
    assert_eq!(waited.status.code(), Some(75), "{}", waited.stderr);
    assert!(waited.stderr.starts_with(&format!("latchd: waiting: {told}")), "{}", waited.stderr);
    assert!(waited.stderr.contains("[2J; \"deploy/b\" is held by somebody else"), "{}", waited.stderr);

    let rows = operate(&server, &["freezes", "deploy/a"]).stdout;
    let (headings, row) = rows.split_once('\n').expect("two lines");
    assert_eq!(headings.split_whitespace().collect::<Vec<_>>().join(" "), "TARGET MATCH HOLDS LEFT UNTIL BY REASON");
    assert!(row.starts_with("deploy/  prefix  drain  1h59m  20"), "{row}");
    assert!(row.ends_with("Z  command-line-key-1  release 7\\u{1b}[2J\n"), "{row}");
    assert_eq!(listed(&server, &[])[0]["reason"], "release 7\u{1b}[2J");
    assert_eq!(listed(&server, &["other"]), Vec::<Value>::new());

    let thawed = operate(&server, &["thaw", "deploy/", "--reason", "it is out"]);
    let told = "every name that starts with \"deploy/\" is thawed, 1h59m before the end; it was frozen for: release 7\\u{1b}[2J\n";
    assert_eq!(thawed.stdout, told, "{}", thawed.stderr);
    refused(&operate(&server, &["thaw", "deploy/"]), "(404)");
    let empty = operate(&server, &["freezes", "deploy/a"]);
    let told = "latchd: nothing to show: \"deploy/a\" is not frozen, as far as this credential may see\n";
    assert_eq!((&*empty.stdout, &*empty.stderr), ("", told));
    let granted = lock(&server, "deploy/a", "0s");
    assert!(granted.status.success(), "{}", granted.stderr);
}

/// Who forgets `--prefix` is told that nothing below the name is frozen, and ends no freeze of the prefix.
#[test]
fn freeze_of_a_name_says_that_it_is_of_the_name_alone() {
    let server = server();
    let freeze = |target: &str| operate(&server, &["freeze", target, "--reason", "r", "--for", "1m"]);
    let (plain, path) = (freeze("nightly"), freeze("deploy/"));
    let alone = "Z: r\nonly the lock named \"nightly\": with --prefix all locks whose names start with it\n";
    assert!(plain.stdout.ends_with(alone) && plain.stderr.is_empty(), "{}{}", plain.stdout, plain.stderr);
    assert!(path.stderr.starts_with("latchd: \"deploy/\" looks like what other names start with"), "{}", path.stderr);
    assert!(lock(&server, "deploy/a", "0s").status.success());

    let prefix = operate(&server, &[&PREFIX[..], &["--for", "2h"]].concat());
    refused(&prefix, "\"deploy/\" is frozen until 20");
    assert!(operate(&server, &["thaw", "deploy/"]).status.success());
    assert!(operate(&server, &[&PREFIX[..], &["--for", "2h"]].concat()).stderr.is_empty());
    refused(&freeze("deploy/"), "thaw that first, or freeze \"deploy/\" as a prefix again");
    assert_eq!(listed(&server, &["deploy/a"])[0]["match"], "prefix");
}

#[test]
fn freeze_needs_reason_and_end_and_freezes_nothing_by_an_empty_variable() {
    let server = Spec::in_memory().api_key(KEY).configuration("[locks]\nfreezes_max = 1\n").start();
    refused(
        &operate(&server, &["freeze", "a", "--reason", " ", "--for", "1m"]),
        "reason must be given, with 1 to 256 bytes",
    );
    refused(&operate(&server, &["freeze", "a", "--reason", "r", "--for", "99999h"]), "locks.freeze_max");
    refused(&operate(&server, &["freeze", "a", "--reason", "r", "--until", "2026-01-01T00:00:00Z"]), "in the future");
    for (arguments, message) in [
        (&["freeze", "a", "--for", "1m"][..], "--reason <TEXT>"),
        (&["freeze", "a", "--reason", "r"], "<--for <DURATION>|--until <TIME>>"),
        (&["freeze", "a", "--reason", "r", "--for", "1m", "--until", "x"], "cannot be used with"),
        (&["freeze", "a", "--reason", "r", "--for", "soon"], "expected a duration"),
        (&["freeze", "", "--prefix", "--reason", "r", "--for", "1m"], "for everything say --everything"),
        (&["freeze", "a", "--everything", "--reason", "r", "--for", "1m"], "cannot be used with"),
        (&["freeze", "a", "--name", "--prefix", "--reason", "r", "--for", "1m"], "cannot be used with"),
        (&["freeze", "--reason", "r", "--for", "1m"], "<TARGET>"),
        (&["thaw", ""], "for everything say --everything"),
        (&["thaw"], "<TARGET>"),
    ] {
        let told = operate(&server, arguments);
        assert_eq!(told.status.code(), Some(2), "{arguments:?}: {}", told.stderr);
        assert!(told.stderr.contains(message), "{arguments:?}: {}", told.stderr);
    }
    assert_eq!(listed(&server, &[]), Vec::<Value>::new());

    let (key, _) = take(&mut worker(&server), json!({"name": "a"}));
    let all = ["freeze", "--everything", "--break", "--reason", "it moves", "--for", "1m"];
    let frozen = operate(&server, &all);
    assert!(frozen.stdout.starts_with("everything is frozen until "), "{} {}", frozen.stdout, frozen.stderr);
    assert!(frozen.stdout.ends_with(": it moves; the holds under it are ended\n"), "{}", frozen.stdout);
    refused(&operate(&server, &["unlock", "a", "--key", &key]), "\"a\" was not unlocked");
    // Nothing but a thaw makes room, so it does not ask again for ten seconds.
    some_attempt_within(Duration::from_secs(5), || {
        let begun = Instant::now();
        refused(&operate(&server, &["freeze", "b", "--reason", "r", "--for", "1m"]), "at most 1 is allowed");
        begun.elapsed()
    });
    let row = &listed(&server, &["b"])[0];
    assert_eq!((&row["target"], &row["match"], &row["holds"]), (&json!(""), &json!("everything"), &json!("break")));
    let thawed = operate(&server, &["thaw", "--everything", "--output", "json"]).stdout;
    let thawed: Value = serde_json::from_str(&thawed).expect("JSON");
    assert_eq!((&thawed["match"], &thawed["reason"]), (&json!("everything"), &json!("it moves")));
}
