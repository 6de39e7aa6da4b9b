//! `latchd elect`, its side-car, and `latchd leader`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use super::job::{Ended, Job, latchd, run, url, wait_until};
use crate::support::process::Server;
use crate::support::spec::Spec;
use rustix::process::Signal;
use serde_json::Value;

const HOLDS: &str = "echo $LATCHD_FENCING_TOKEN; exec sleep 60";

fn elect(server: &Server, flags: &[&str], script: &str) -> Command {
    let mut command = latchd(&url(server));
    command.args(["elect", "primary"]).args(flags).args(["--", "sh", "-c", script]);
    command
}

fn with(server: &Server, words: &[&str]) -> Ended {
    let mut command = latchd(&url(server));
    command.args(words);
    run(command)
}

fn leader(server: &Server) -> Value {
    let shown = with(server, &["leader", "primary", "--output", "json"]);
    serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{}", shown.stderr))
}

/// Of a command that prints it first.
fn token_of(job: &mut Job) -> u64 {
    let line = job.line();
    line.parse().unwrap_or_else(|_| panic!("{line:?} is no token; stderr: {}", job.said()))
}

fn force_out(server: &Server) {
    let forced = with(server, &["unlock", "primary", "--force", "--reason", "a test"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
}

#[test]
fn leaders_follow_each_other_with_their_values_and_rising_tokens() {
    let server = Spec::in_memory().start();
    let nobody = with(&server, &["leader", "primary"]);
    assert_eq!((nobody.code, &*nobody.stdout), (Some(1), ""));
    assert_eq!(nobody.stderr, "latchd: nobody leads \"primary\"\n");
    let mut first = Job::start(&mut elect(&server, &["--value", "10.0.0.7:1"], HOLDS));
    let token = token_of(&mut first);
    let mut second = Job::start(&mut elect(&server, &["--value", "10.0.0.8:1"], "echo $LATCHD_FENCING_TOKEN; exit 7"));
    let shown = leader(&server);
    assert_eq!((&shown["value"], &shown["fencing_token"]), (&"10.0.0.7:1".into(), &token.into()));
    assert!(shown["reliable_for_seconds"].as_f64().is_some_and(|left| left > 0.0 && left <= 1.0), "{shown}");
    let table = with(&server, &["leader", "primary"]).stdout;
    let words: Vec<&str> = table.split_whitespace().take(6).collect();
    assert_eq!(words, ["VALUE", "TOKEN", "RELIABLE", "FOR", "10.0.0.7:1", &token.to_string()], "{table}");
    let busy = run(elect(&server, &["--wait", "0s"], "echo ran"));
    assert_eq!((busy.code, &*busy.stdout), (Some(75), ""), "{}", busy.stderr);
    assert!(busy.stderr.contains("(leads as 10.0.0.7:1)"), "{}", busy.stderr);
    first.signal(Signal::TERM);
    assert_eq!(first.end().code, Some(143));
    assert!(token_of(&mut second) > token);
    let ended = second.end();
    assert_eq!((ended.code, &*ended.stderr), (Some(7), ""));
    assert_eq!(with(&server, &["leader", "primary"]).code, Some(1), "it has resigned");
}

#[test]
fn leader_that_is_forced_out_ends_its_command() {
    let server = Spec::in_memory().start();
    let mut leader = Job::start(&mut elect(&server, &["--lease", "9s"], HOLDS));
    token_of(&mut leader);
    force_out(&server);
    let ended = leader.end();
    assert_eq!(ended.code, Some(76), "{}", ended.stderr);
    assert!(ended.stderr.contains("the lock is lost"), "{}", ended.stderr);
}

#[test]
fn candidate_for_ever_runs_again_after_each_win() {
    let server = Spec::in_memory().start();
    let mut job = Job::start(&mut elect(&server, &["--forever", "--lease", "9s"], HOLDS));
    let first = token_of(&mut job);
    force_out(&server);
    let second = token_of(&mut job);
    assert!(second > first);
    job.signal(Signal::TERM);
    assert_eq!(job.end().code, Some(143), "it was asked to end");
    let mut job = Job::start(&mut elect(&server, &["--forever"], "echo $LATCHD_FENCING_TOKEN; exit 3"));
    let tokens = [token_of(&mut job), token_of(&mut job)];
    assert!(tokens.is_sorted() && tokens[0] > second, "{tokens:?}");
    job.signal(Signal::INT);
    let ended = job.end();
    assert!([Some(130), Some(3)].contains(&ended.code), "{:?}: {}", ended.code, ended.stderr);
    let missing = with(&server, &["elect", "other", "--forever", "--", "no-such-program"]);
    assert_eq!(missing.code, Some(127), "{}", missing.stderr);
}

#[test]
fn candidate_for_ever_outlasts_a_service_that_is_away() {
    let server = Spec::in_memory().start();
    let (mut command, url) = (elect(&server, &["--forever"], "echo ran; exec sleep 60"), url(&server));
    drop(server);
    let mut job = Job::start(&mut command);
    wait_until("it has given up once", || job.said().contains("; it is asked again"));
    let _again = Spec::in_memory().argument("--listen").argument(url).start();
    assert_eq!(job.line(), "ran");
}

/// The status and the body of a request to the side-car.
fn asked(address: &str, request: &str) -> (String, String) {
    asked_of(address, address, request)
}

fn asked_of(host: &str, address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).expect("a status").to_owned(), body.to_owned())
}

fn told(address: &str) -> Value {
    let (status, body) = asked(address, "GET /leader");
    assert_eq!(status, "200", "{body}");
    serde_json::from_str(&body).expect("JSON")
}

fn address_of(job: &Job) -> String {
    let mut address = String::new();
    wait_until("it listens", || {
        let said = job.said();
        let found = said.lines().find_map(|line| line.split_once("listening on http://")?.1.strip_suffix("/leader"));
        address = found.unwrap_or_default().to_owned();
        !address.is_empty()
    });
    address
}

#[test]
fn sidecar_says_whether_its_own_process_leads() {
    let server = Spec::in_memory().start();
    let mut first = Job::start(&mut elect(&server, &["--value", "one", "--serve", "0"], HOLDS));
    let token = token_of(&mut first);
    let second = Job::start(&mut elect(&server, &["--value", "two", "--serve", "127.0.0.1:0", "--forever"], HOLDS));
    let [one, two] = [&first, &second].map(address_of);
    for (address, leads) in [(&one, true), (&two, false)] {
        let told = told(address);
        assert_eq!((&told["name"], &told["leader"]), (&"primary".into(), &leads.into()), "{told}");
        assert_eq!((&told["value"], &told["fencing_token"]), (&"one".into(), &token.into()), "{told}");
        assert!(told["reliable_for_seconds"].as_f64().is_some_and(|left| left <= 1.0), "{told}");
    }
    for (request, status) in [("POST /leader", "405"), ("GET /", "404"), ("nonsense", "400")] {
        assert_eq!(asked(&one, request).0, status, "{request}");
    }
    assert_eq!(asked_of("rebound.example", &one, "GET /leader").0, "421");
    drop(first);
    force_out(&server);
    wait_until("the second one leads", || {
        let told = told(&two);
        // It may have won before it knows.
        assert!(told["leader"] != true || told["value"] == "two", "{told}");
        told["leader"] == true
    });
    drop(server);
    wait_until("its last answer is worth nothing", || asked(&two, "GET /leader").0 == "503");
}

#[test]
fn idle_connections_of_a_sidecar_make_room_in_time() {
    let server = Spec::in_memory().start();
    let job = Job::start(&mut elect(&server, &["--serve", "0"], HOLDS));
    let address = address_of(&job);
    let idle: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
    assert_eq!(told(&address)["name"], "primary");
    drop(idle);
}

#[test]
fn changes_of_leaders_are_watched_in_order() {
    let server = Spec::in_memory().start();
    for (flags, lines) in [
        (&[][..], ["nobody leads", "elected        token T  web-1", "resigned       token T"]),
        (&["--output", "json"], ["\"event\":\"state\"", "\"event\":\"elected\"", "\"event\":\"resigned\""]),
    ] {
        let mut command = latchd(&url(&server));
        command.args(["leader", "primary", "--watch"]).args(flags);
        let mut watching = Job::start(&mut command);
        let mut next = || loop {
            let line = watching.line();
            if !line.contains("\"event\":\"started\"") {
                return line;
            }
        };
        let [begin, elected, resigned] = lines;
        assert!(next().contains(begin));
        let token = run(elect(&server, &["--value", "web-1"], "echo $LATCHD_FENCING_TOKEN")).stdout;
        for expected in [elected, resigned] {
            let line = next();
            assert!(line.contains(&expected.replace('T', token.trim())), "{line}");
        }
    }
}
