//! Locks that are shared, weighed or delayed, and several at once.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::job::{Ended, Job, latchd, lock, run, url, wait_until};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;
use rustix::process::Signal;

const LATCHD: &str = env!("CARGO_BIN_EXE_latchd");

/// `latchd lock` with these words before the `--`.
fn locked(server: &Server, words: &[&str], script: &str) -> std::process::Command {
    let mut command = latchd(&url(server));
    command.arg("lock").args(words).args(["--", "sh", "-c", script]);
    command
}

fn tried(server: &Server, words: &[&str]) -> Ended {
    run(locked(server, &[words, &["--wait", "0s"]].concat(), "echo ran"))
}

fn held(server: &Server, words: &[&str]) -> Job {
    let mut job = Job::start(&mut locked(server, words, "echo $$; exec sleep 60"));
    job.number();
    job
}

fn listed(server: &Server, name: &str) -> serde_json::Value {
    Client::plain(server).get(&format!("/v1/locks/{name}")).json()
}

#[test]
fn shared_lock_runs_readers_together_and_keeps_writers_out() {
    let server = Spec::in_memory().start();
    let reader = held(&server, &["report", "--shared", "--lease", "8s"]);
    assert_eq!(tried(&server, &["report", "--shared"]).stdout, "ran\n");
    let writer = tried(&server, &["report"]);
    assert_eq!((writer.code, &*writer.stdout), (Some(75), ""), "{}", writer.stderr);
    assert!(writer.stderr.contains("\"report\" is held by somebody else: host="), "{}", writer.stderr);
    let waiting = Job::start(&mut locked(&server, &["report"], "echo wrote"));
    drop(reader);
    assert_eq!(waiting.end().stdout, "wrote\n", "after the reader's lease");
    let _writer = held(&server, &["report"]);
    assert_eq!(tried(&server, &["report", "--shared"]).code, Some(75));
}

#[test]
fn several_locks_are_held_renewed_and_released_as_one() {
    let server = Spec::in_memory().start();
    let script = "echo $LATCHD_LOCK_NAME $LATCHD_LOCK_NAMES; read -r line";
    let mut command = locked(&server, &["b", "a", "--lease", "6s"], script);
    let mut job = Job::start(command.stdin(std::process::Stdio::piped()));
    assert_eq!(job.line(), r#"b ["b","a"]"#);
    let [a, b] = ["a", "b"].map(|name| listed(&server, name)["holders"][0].clone());
    assert_eq!((&a["fencing_token"], &a["key"], &a["name_count"]), (&b["fencing_token"], &b["key"], &2.into()));
    let expired = std::time::Instant::now() + std::time::Duration::from_secs(8);
    wait_until("the first lease would be over", || std::time::Instant::now() > expired);
    for names in [&["a"][..], &["b"], &["c", "a"], &["a", "c"]] {
        let other = tried(&server, names);
        assert_eq!(other.code, Some(75), "{names:?}: {}", other.stderr);
        assert!(other.stderr.contains("(one of 2 names)"), "{}", other.stderr);
    }
    job.close_stdin();
    let ended = job.end();
    assert_eq!((ended.code, &*ended.stderr), (Some(1), ""), "`read` found the end");
    assert_eq!(tried(&server, &["a", "b"]).stdout, "ran\n");
}

#[test]
fn key_of_several_locks_unlocks_all_of_them() {
    let server = Spec::in_memory().start();
    let script = format!("{LATCHD} unlock a b --key $LATCHD_LOCK_KEY && {LATCHD} lock b --wait 0s -- echo free");
    let ended = run(locked(&server, &["b", "a"], &script));
    assert_eq!(ended.stdout, "a is released\nfree\n", "{}", ended.stderr);
    assert_eq!(ended.code, Some(76), "its own release finds nothing");
    assert!(ended.stderr.contains("\"b\" and \"a\" were lost while the command ran"), "{}", ended.stderr);
}

#[test]
fn forced_release_of_one_name_tells_all_that_have_ended() {
    let server = Spec::in_memory().start();
    let script = format!("{LATCHD} unlock a --force --reason test && {LATCHD} lock b --wait 0s -- echo free");
    let ended = run(locked(&server, &["b", "a"], &script));
    let (released, rest) = ended.stdout.split_once('\n').expect("two lines");
    assert!(released.starts_with("b, a are released together (fencing token "), "{released}");
    assert_eq!(rest, "free\n", "{}", ended.stderr);
}

#[test]
fn weight_takes_that_many_places() {
    let server = Spec::in_memory().start();
    let sized = |weight| ["memory", "--size", "4", "--weight", weight];
    let _heavy = held(&server, &sized("3"));
    assert_eq!(tried(&server, &sized("2")).code, Some(75));
    assert_eq!(tried(&server, &sized("1")).stdout, "ran\n");
    let refused = tried(&server, &sized("5"));
    assert_eq!(refused.code, Some(77), "{}", refused.stderr);
    assert!(refused.stderr.contains("weight must be a whole number from 1 to the size, 4"), "{}", refused.stderr);
}

#[test]
fn lock_delay_keeps_a_lost_lock_from_others() {
    let server = Spec::in_memory().start();
    let words = ["slow", "--lease", "5s", "--lock-delay", "10m"];
    let job = held(&server, &words);
    job.signal(Signal::KILL);
    wait_until("its lease ends", || listed(&server, "slow")["delayed_for_seconds"].is_number());
    let other = tried(&server, &["slow"]);
    assert_eq!(other.code, Some(75), "{}", other.stderr);
    let said = "\"slow\" is not granted for another 9m";
    assert!(other.stderr.contains(said), "{}", other.stderr);
    assert_eq!(run(locked(&server, &["clean", "--lock-delay", "10m"], "true")).code, Some(0));
    assert_eq!(tried(&server, &["clean"]).stdout, "ran\n", "it was released");
}

#[test]
fn options_that_exclude_each_other_are_wrong_usage() {
    let server = Spec::in_memory().start();
    for words in [
        &["a", "--shared", "--size", "2"][..],
        &["a", "--weight", "2"],
        &["a", "b", "--size", "2"],
        &["a", "--weight", "0", "--size", "2"],
        &["a", "--lock-delay", "soon"],
    ] {
        let ended = run(locked(&server, words, "echo ran"));
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{words:?}: {}", ended.stderr);
    }
    let twice = tried(&server, &["a", "a"]);
    assert_eq!(twice.code, Some(77), "{}", twice.stderr);
}

#[test]
fn hyphenated_names_stand_behind_dashes_of_their_own() {
    let server = Spec::in_memory().start();
    let mut command = latchd(&url(&server));
    command.args(["lock", "--shared", "--", "-x", "y", "--", "sh", "-c", "echo $LATCHD_LOCK_NAMES $1", "sh", "--"]);
    let ended = run(command);
    assert_eq!(ended.stdout, "[\"-x\",\"y\"] --\n", "{}", ended.stderr);
}

#[test]
fn reader_under_its_own_reader_does_not_wait_for_a_writer_ahead() {
    let server = Spec::in_memory().start();
    let inner = format!("read -r line; {LATCHD} lock report --shared -- echo ran; echo $?");
    let mut command = lock(&server, "report", &["--shared"], &format!("echo $$; {inner}"));
    let mut outer = Job::start(command.stdin(std::process::Stdio::piped()));
    outer.number();
    let writer = Job::start(&mut lock(&server, "report", &[], "echo wrote"));
    wait_until("the writer waits", || listed(&server, "report")["queue_length"] == 1);
    outer.close_stdin();
    let ended = outer.end();
    assert_eq!(ended.stdout, "75\n", "{}", ended.stderr);
    assert!(ended.stderr.contains("and waited for by host="), "{}", ended.stderr);
    assert_eq!(writer.end().stdout, "wrote\n");
}

#[test]
fn reader_under_its_own_reader_runs_if_nobody_waits() {
    let server = Spec::in_memory().start();
    let inner = format!("{LATCHD} lock report --shared -- echo ran; {LATCHD} lock report -- echo wrote; echo $?");
    let ended = run(lock(&server, "report", &["--shared"], &inner));
    assert_eq!(ended.stdout, "ran\n75\n", "{}", ended.stderr);
    assert!(ended.stderr.contains("a deadlock with oneself"), "{}", ended.stderr);
}

/// What this service says of the holders of `a`.
const SHOWN: &str = r#"{"locks": [{"name": "a", "size": 1, "queue_length": 0, "holders": [{"fencing_token": 7,
    "dialect": "d", "held_for_seconds": 9, "session": "ab12", "metadata": {"host": "web-1"}}]}]}"#;

/// A service that opens sessions, shows one lock, and has one answer to requests for locks.
fn service(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 4096];
            let count = stream.read(&mut asked).unwrap_or_default();
            let (status, body) = match asked[..count].starts_with(b"POST /v1/lock") {
                true => (status, body),
                false if asked[..count].starts_with(b"POST /session") => ("200 OK", r#"{"session_id": "0a"}"#),
                false if asked[..count].starts_with(b"GET /v1/locks") => ("200 OK", SHOWN),
                false => ("404 Not Found", ""),
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

fn tried_at(url: &str, words: &[&str]) -> Ended {
    let mut command = latchd(url);
    command.arg("lock").args(words).args(["--", "echo", "ran"]);
    run(command)
}

#[test]
fn refused_deadlock_says_who_waits_for_whom() {
    let cycle = r#"{"locked":false,"name":"a","key":"","error":{"code":"WouldDeadlock","message":"no"},"cycle":[
        {"name":"a","held_by":"ab12","waited_for_by":"cd34"},{"name":null,"held_by":"cd34","waited_for_by":"ab12"}]}"#;
    let ended = tried_at(&service("200 OK", cycle), &["a"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(75), ""), "{}", ended.stderr);
    let told = "to wait would be a deadlock: cd34 waits for \"a\", which ab12 holds (host=web-1); \
                ab12 waits for a lock that you may not see, which cd34 has";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn older_service_is_named_as_such() {
    let unknown = r#"{"code":3,"message":"the field \"names\" is not known (known here: name, size)","details":[]}"#;
    let ended = tried_at(&service("400 Bad Request", unknown), &["a", "b"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(77), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("is an older service, which does not know `names`"), "{}", ended.stderr);
    // One that ignores what it does not know has locked less than was asked for.
    let ignored = r#"{"locked":true,"name":"a","key":"k","fencing_token":7}"#;
    let ended = tried_at(&service("200 OK", ignored), &["a", "b"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(77), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("it does not name all the locks"), "{}", ended.stderr);
}
