//! Where tokens begin in a table that knows of none before it, and by which clock.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::tools::program;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;

const LAST_EXACT: u64 = 1 << 53;

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn token(server: &Server, name: &str) -> u64 {
    let mut client = Client::plain(server);
    client.send("POST", "/session", b"");
    let taken = client.post("/v1/lock", &json!({"name": name, "lock_timeout_seconds": 60})).json();
    taken["fencing_token"].as_u64().unwrap_or_else(|| panic!("no token: {taken}"))
}

/// The library for programs with threads, and a date that it shows.
fn at(date: &str, spec: Spec) -> Spec {
    let library = super::tools::run(program("faketime").args(["-m", "-f", "+0s", "sh", "-c", "echo $LD_PRELOAD"]));
    let spec = spec.environment("LD_PRELOAD", library.trim()).environment("FAKETIME", format!("@{date} 00:00:00"));
    spec.environment("DONT_FAKE_MONOTONIC", 1).environment("FAKETIME_DONT_FAKE_MONOTONIC", 1)
}

fn refused(date: &str, spec: Spec) -> String {
    let told = at(date, spec).try_start().err().unwrap_or_else(|| panic!("{date} is believed"));
    for word in [date, "--trust-clock", "storage.trust_clock"] {
        assert!(told.contains(word), "{word} in: {told}");
    }
    told
}

#[test]
fn restarted_memory_table_starts_above_earlier_tokens() {
    let mut last = 0;
    let before = unix_ms();
    let mut server = Spec::in_memory().start();
    for round in 0..4 {
        let next = token(&server, "a");
        assert!(next > last, "{next} after {last} in round {round}");
        last = next;
        server = server.kill_and_restart();
    }
    assert!((before << 10..=unix_ms() << 10).contains(&last) && last < LAST_EXACT, "{last} is not of now");
}

#[test]
fn first_start_with_absurd_clock_needs_trust_clock() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("data");
    for spec in [Spec::in_memory(), Spec::durable(&dir)] {
        assert!(refused("1970-01-02", spec.clone()).contains("before this release was built"));
        assert!(refused("2250-01-01", spec.clone()).contains("beyond the year 2100"));
        let told = at("2001-01-01", spec.clone().argument("--trust-clock")).try_start();
        drop(told.unwrap_or_else(|output| panic!("{output}")));
    }
    let by_key = Spec::in_memory().configuration("[storage]\ntrust_clock = true\n");
    drop(at("2101-01-01", by_key).start());
}

#[test]
fn later_start_ignores_absurd_clock() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("data");
    let mut server = Spec::durable(&dir).start();
    let first = token(&server, "a");
    server.kill();
    for date in ["1970-01-02", "2250-01-01"] {
        let server = at(date, Spec::durable(&dir)).start();
        assert!(token(&server, date) > first && token(&server, &format!("{date}z")) < LAST_EXACT);
    }
}

#[test]
fn restore_with_absurd_clock_needs_trust_clock() {
    let home = tempfile::tempdir().expect("a directory");
    let backup = home.path().join("latchd.backup").display().to_string();
    let server = Spec::in_memory().start();
    let url = format!("http://{}", server.http());
    let ended = crate::support::process::run_to_end(&["backup", &backup, "--url", &url]);
    assert!(ended.status.success(), "{}", ended.stderr);
    let restore = |into: &Path, more: &[&str]| {
        let mut command = program("faketime");
        command.args(["2250-01-01 00:00:00", env!("CARGO_BIN_EXE_latchd"), "restore", &backup, "--data-dir"]);
        let ended = Command::output(command.arg(into).args(more)).expect("it starts");
        (ended.status.success(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let dir = home.path().join("new");
    let (done, told) = restore(&dir, &[]);
    assert!(!done && told.contains("beyond the year 2100") && told.contains("--trust-clock"), "{told}");
    assert!(!dir.exists(), "nothing was made");
    let (done, told) = restore(&dir, &["--trust-clock"]);
    assert!(done, "{told}");
}

/// A log that is cut between two records looks whole.
#[test]
fn log_truncated_between_records_is_reported_and_repeats_no_token() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("data");
    let spec = Spec::durable(&dir);
    let mut server = spec.start();
    token(&server, "kept");
    server.kill();
    let wal = std::fs::read_dir(dir.join("log")).expect("the log").map(|file| file.expect("a file").path());
    let wal = wal.filter(|file| file.extension().is_some_and(|suffix| suffix == "wal")).max().expect("a log");
    let whole = std::fs::read(&wal).expect("the log");
    let mut server = spec.start();
    assert!(!server.stderr().contains("the log was cut"), "{}", server.stderr());
    let lost = token(&server, "lost");
    server.kill();
    std::fs::write(&wal, whole).expect("the log");
    let server = spec.start();
    assert!(server.stderr().contains("the log was cut or put back"), "{}", server.stderr());
    assert!(token(&server, "lost") > lost);
}
