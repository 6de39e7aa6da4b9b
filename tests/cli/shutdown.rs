//! The first signal ends the server in good order, the second at once.

use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::http::Connection;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// A request whose body never comes, in flight until `server.body_timeout`: its handler has asked for the body.
fn stuck_request(server: &Server) -> Connection {
    const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut connection = Connection::plain(server.http()).expect("a connection");
    let head = b"POST /unlock HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    connection.send(head).expect("sent");
    let mut answer = [0; GO_ON.len()];
    connection.socket().read_exact(&mut answer).expect("an interim answer");
    assert_eq!(answer, GO_ON);
    connection
}

fn end_of(mut server: Server) -> std::process::ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match server.ended() {
            Some(status) => return status,
            None => assert!(Instant::now() < deadline, "no end"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A request under way, on a connection of its own.
fn get(server: &Server, path: &str) -> Connection {
    let mut connection = Connection::plain(server.http()).expect("a connection");
    connection.send(format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n").as_bytes()).expect("sent");
    connection
}

fn until_waiting(server: &Server, waiters: u32) {
    let line = format!("latchd_waiters {waiters}\n");
    while !get(server, "/metrics").receive(false).expect("an answer").text().contains(&line) {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn first_signal_drops_open_requests_after_drain_timeout() {
    let server = Spec::in_memory().configuration("[server]\ndrain_timeout = \"400ms\"\n").start();
    let _stuck = stuck_request(&server);
    let begun = Instant::now();
    server.begin_stop();
    let status = end_of(server);
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
}

#[test]
fn second_signal_ends_server_at_once() {
    let server = Spec::in_memory().configuration("[server]\ndrain_timeout = \"60s\"\n").start();
    let _stuck = stuck_request(&server);
    server.begin_stop();
    while !server.stderr().contains("another one ends at once") {
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = Pid::from_raw(i32::try_from(server.pid()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::INT).expect("sent");
    assert_eq!(end_of(server).code(), Some(1));
}

#[test]
fn drain_answers_lock_waiters() {
    let server = Spec::in_memory().start();
    let taken = get(&server, "/getlock?lockname=contended&timeout=5&lifetime=30").receive(false).expect("an answer");
    assert_eq!(taken.status, 200, "{}", taken.text());
    let mut waiting = get(&server, "/getlock?lockname=contended&timeout=60&lifetime=30");
    until_waiting(&server, 1);
    server.begin_stop();
    let answer = waiting.receive(false).expect("an answer");
    assert!(!answer.text().contains("\"lockacquired\":true"), "{} {}", answer.status, answer.text());
    assert!(end_of(server).success());
}

/// During `drain_delay` load balancers notice that the node is not ready, and it still serves everything.
#[test]
fn leaving_node_serves_all_requests_during_drain_delay() {
    const DELAY: Duration = Duration::from_secs(12);
    let server = Spec::in_memory().configuration("[server]\ndrain_delay = \"12s\"\n").start();
    let ask = |path: &str| get(&server, path).receive(false).expect("an answer");
    assert_eq!(ask("/getlock?lockname=contended&timeout=5&lifetime=30").status, 200);
    let mut waits_before = get(&server, "/getlock?lockname=contended&timeout=60&lifetime=30");
    until_waiting(&server, 1);

    let begun = Instant::now();
    server.begin_stop();
    while ask("/readyz").status != 503 {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!((ask("/readyz").text(), ask("/livez").status), ("draining\n".to_owned(), 200));
    assert_eq!(ask("/getlock?lockname=free&timeout=5&lifetime=30").status, 200, "a new lock");
    let mut waits_since = get(&server, "/getlock?lockname=contended&timeout=60&lifetime=30");
    until_waiting(&server, 2);
    assert!(begun.elapsed() < DELAY, "the machine is too busy for this test");

    for waiting in [&mut waits_before, &mut waits_since] {
        let answer = waiting.receive(false).expect("an answer");
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    }
    assert!(begun.elapsed() >= DELAY, "told after {:?}", begun.elapsed());
    assert!(end_of(server).success());
}
