//! The log has each step at `debug` and what an admin must know at `info`; metrics count both.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::http::Connection;
use crate::support::process::Server;
use crate::support::spec::Spec;

const TIMEOUT: Duration = Duration::from_secs(60);

fn wait_for_line(server: &Server, text: &str) {
    let deadline = Instant::now() + TIMEOUT;
    while !server.stderr().contains(text) {
        assert!(Instant::now() < deadline, "no {text:?} in:\n{}", server.stderr());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn metric(server: &Server, name: &str) -> f64 {
    let text = Client::plain(server).get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in:\n{text}"))
}

fn post(client: &mut Client, path: &str, body: &Value) -> Value {
    client.post(path, body).json()
}

#[test]
fn debug_log_shows_lock_events_without_secrets() {
    let server = Spec::in_memory().argument("--log-level").argument("debug").start();
    let mut holder = Client::plain(&server);
    let opened = holder.post("/session", &json!({}));
    let cookie = opened.cookie("ldlm-session").expect("a session").to_owned();
    let taken = post(&mut holder, "/v1/lock", &json!({"name": "a b", "lock_timeout_seconds": 60}));
    let key = taken["key"].as_str().expect("a key").to_owned();
    let mut other = Client::plain(&server);
    other.post("/session", &json!({}));
    let wanted = |wait: f64| json!({"name": "a b", "lock_timeout_seconds": 60, "wait_timeout_seconds": wait});
    assert_eq!(post(&mut other, "/v1/lock", &wanted(0.05))["locked"], false);
    wait_for_line(&server, "a wait for \"a b\" has ended: timed out");
    let waiting = std::thread::spawn(move || post(&mut other, "/v1/lock", &wanted(30.0)));
    while metric(&server, "latchd_waiters") < 1.0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(post(&mut holder, "/v1/unlock", &json!({"name": "a b", "key": key}))["unlocked"], true);
    let granted = waiting.join().expect("an answer");
    post(&mut holder, "/v1/lock", &json!({"name": "short", "lock_timeout_seconds": 0.05}));
    holder.delete("/session");
    for line in [
        "session ".to_owned(),
        " is open".to_owned(),
        format!("\"a b\" is granted under token {}", taken["fencing_token"]),
        "a request waits for \"a b\", behind 0".to_owned(),
        format!("the hold {} of \"a b\" has ended: released", taken["fencing_token"]),
        format!("\"a b\" is granted under token {}", granted["fencing_token"]),
        "of \"short\" has ended: ".to_owned(),
        " has ended: closed".to_owned(),
    ] {
        wait_for_line(&server, &line);
    }
    let said = server.stderr();
    for secret in [&key, &cookie] {
        assert!(!said.contains(secret.as_str()), "{secret} is told:\n{said}");
    }
}

#[test]
fn lock_waits_are_exported_as_a_histogram() {
    let server = Spec::in_memory().start();
    let mut holder = Client::plain(&server);
    let taken = post(&mut holder, "/lock", &json!({"resource": "busy", "ttl": 60}));
    let mut other = Client::plain(&server);
    let waiting =
        std::thread::spawn(move || other.post("/lock", &json!({"resource": "busy", "ttl": 60, "wait": 30})).status);
    while metric(&server, "latchd_waiters") < 1.0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(60));
    let released = holder.post("/unlock", &json!({"lock_id": taken["lock_id"]}));
    assert_eq!(released.status, 200, "{}", released.text());
    assert_eq!(waiting.join().expect("an answer"), 200);
    assert_eq!(metric(&server, "latchd_lock_wait_seconds_count"), 2.0);
    let within = metric(&server, "latchd_lock_wait_seconds_bucket{le=\"0.05\"}");
    assert_eq!(within, 1.0, "one was granted at once, the other waited for longer");
    assert!(metric(&server, "latchd_lock_wait_seconds_sum") > 0.05);
}

#[test]
fn failed_logins_are_counted_and_logged_once_per_address() {
    let server = Spec::in_memory().api_key("right").start();
    let mut connection = Connection::plain(server.http()).expect("a connection");
    for _ in 0..40 {
        let answer = connection.request("GET", "/v1/locks", &[("x-api-key", "guessed-wrong")], b"").expect("an answer");
        assert!(matches!(answer.status, 401 | 429), "{}", answer.status);
    }
    let none = connection.request("GET", "/v1/locks", &[], b"").expect("an answer");
    assert_eq!(none.status, 401);
    let right = [("x-api-key", "right")];
    let shown = connection.request("GET", "/metrics", &right, b"").expect("an answer").text();
    assert!(shown.lines().any(|line| line == "latchd_failed_logins_total 40"), "{shown}");
    wait_for_line(&server, "a login from 127.0.0.1 has failed");
    let said = server.stderr();
    assert_eq!(said.matches("has failed").count(), 1, "{said}");
    assert!(!said.contains("guessed-wrong"), "{said}");
}

#[test]
fn failed_tls_handshakes_are_counted_and_logged_at_debug() {
    let server = Spec::in_memory().argument("--log-level").argument("debug").start();
    let mut stranger = TcpStream::connect(server.https()).expect("a connection");
    stranger.write_all(b"\x16\x03\x01\x00\x05junk!").expect("sent");
    drop(stranger.read_to_end(&mut Vec::new()));
    wait_for_line(&server, "the TLS handshake with 127.0.0.1:");
    assert_eq!(metric(&server, "latchd_tls_failures_total"), 1.0);
    let mut client = Connection::tls(server.https()).expect("a handshake");
    assert_eq!(client.request("GET", "/livez", &[], b"").expect("an answer").status, 200);
    assert_eq!(metric(&server, "latchd_tls_failures_total"), 1.0);
}

#[test]
fn metrics_show_build_and_process() {
    let server = Spec::in_memory().start();
    let build = format!("latchd_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(metric(&server, &build), 1.0);
    let since_1970 = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs_f64();
    let started = metric(&server, "process_start_time_seconds");
    assert!((since_1970 - 120.0..since_1970 + 5.0).contains(&started), "{started} {since_1970}");
    assert!(metric(&server, "process_cpu_seconds_total") >= 0.0);
    assert!(metric(&server, "process_resident_memory_bytes") > 1e6);
    assert!(metric(&server, "process_virtual_memory_bytes") > 1e6);
    let (open, max) = (metric(&server, "process_open_fds"), metric(&server, "process_max_fds"));
    assert!(open > 3.0 && open < max, "{open} of {max}");
    assert!(metric(&server, "process_threads") > 1.0);
    let text = Client::plain(&server).get("/metrics").text();
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
}

/// The terminal output of a server that cannot start.
fn on_terminal(no_color: Option<&str>) -> String {
    let home = tempfile::tempdir().expect("a directory");
    let binary = env!("CARGO_BIN_EXE_latchd");
    let run = format!("{binary} serve --listen https://127.0.0.1:0 --data-dir /proc/nowhere");
    let mut command = Command::new("script");
    command.args(["--quiet", "--command", &run, "typescript"]).current_dir(home.path()).env_remove("NO_COLOR");
    if let Some(value) = no_color {
        command.env("NO_COLOR", value);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("script");
    std::fs::read_to_string(home.path().join("typescript")).expect("what was shown")
}

#[test]
fn log_on_terminal_has_colours_unless_no_color_is_set() {
    for (no_color, coloured) in [(None, true), (Some(""), true), (Some("1"), false)] {
        let shown = on_terminal(no_color);
        assert!(shown.contains("self-signed"), "{shown}");
        assert_eq!(shown.contains("\u{1b}["), coloured, "{no_color:?}: {shown:?}");
    }
}
