//! Commands of admins against ready, unready and unreachable nodes.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::lock::job::{Ended, Job, latchd, run, url};
use crate::support::in_time::some_attempt_within;
use crate::support::spec::Spec;

const NOWHERE: &str = "http://127.0.0.1:1";

fn asked(urls: &str, arguments: &[&str]) -> Ended {
    let mut command = latchd(urls);
    command.args(arguments);
    run(command)
}

#[test]
fn health_names_the_ready_node() {
    let server = Spec::in_memory().start();
    let ready = asked(&format!("{NOWHERE},{}", url(&server)), &["health"]);
    assert_eq!((ready.code, ready.stdout), (Some(0), format!("{} is ready\n", url(&server))), "{}", ready.stderr);
}

#[test]
fn health_of_unready_node_reports_its_reason_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let node = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 26\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(format!("{head}not ready: node 3 catches\n").as_bytes());
        }
    });
    let of_two = asked(&format!("{node},{NOWHERE}"), &["health"]).stderr;
    assert!(of_two.starts_with("latchd: no node is ready: ") && of_two.contains("refused"), "{of_two}");
    assert!(of_two.contains(&format!("{node}/readyz answered 503 Service Unavailable: node 3 catches")), "{of_two}");
    let not_ready = asked(&node, &["health"]);
    assert_eq!((not_ready.code, not_ready.stderr), (Some(1), format!("latchd: {node} is not ready: node 3 catches\n")));
}

#[test]
fn unreachable_service_is_reported_soon() {
    some_attempt_within(Duration::from_secs(8), || {
        let begun = Instant::now();
        let dead = asked(&format!("{NOWHERE},{NOWHERE}"), &["locks"]);
        assert_eq!(dead.code, Some(1));
        assert!(dead.stderr.contains("cannot be reached: Connection refused"), "{}", dead.stderr);
        begun.elapsed()
    });
}

#[test]
fn terminal_shows_what_the_command_waits_for() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let node = format!("http://{}", silent.local_addr().expect("bound"));
    for command in ["locks", "sessions", "watch", "backup x", "members list", "unlock a --key k"] {
        let mut terminal = std::process::Command::new("script");
        let line = format!("cd /nonexistent || cd /; exec {} {command} --url {node}", env!("CARGO_BIN_EXE_latchd"));
        terminal.args(["--quiet", "--command", &line, "/dev/null"]).env("XDG_CONFIG_HOME", "/nonexistent");
        terminal.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        let mut job = Job::start(&mut terminal);
        let said = std::iter::repeat_with(|| job.line()).find(|line| line.contains("latchd: ")).expect("endless");
        assert_eq!(said, format!("latchd: still waiting: no answer yet from {node}"), "{command}");
    }
}
