//! `--wait` is kept, whatever the service or a proxy before it does.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::job::{Ended, latchd, lock, run_once};
use crate::support::spec::Spec;

/// How late a busy machine may be. A wait that is not kept is never over.
const LATE: Duration = Duration::from_secs(30);

/// Tries to acquire a lock at this URL; returns how that ended, and after how long.
fn tried(url: &str, wait: &str) -> (Ended, Duration) {
    let mut command = latchd(url);
    command.args(["lock", "waited", "--wait", wait, "--", "echo", "ran"]);
    let begun = Instant::now();
    let ended = run_once(&mut command);
    (ended, begun.elapsed())
}

/// Accepts connections as long as the test runs, and never answers.
fn peer(answer: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    url
}

/// The message about a silent node.
const SILENT: &str = "no answer in time from http://127.0.0.1:";
const LOST_DISK: &str = r#"{"title":"t","detail":"the cluster knows node 1 with another data directory"}"#;

/// Checks that the message has this reason and names no holder.
fn check_no_answer(ended: &Ended, why: &str) {
    assert!(!ended.stderr.contains("held"), "nobody said so: {}", ended.stderr);
    assert!(ended.stderr.contains(" within --wait: ") && ended.stderr.contains(why), "{why}: {}", ended.stderr);
}

fn answer(mut stream: TcpStream, status: &str, body: &str) {
    let mut asked = [0; 4096];
    // Whether it was read or not: the answer is the same.
    let _ = stream.read(&mut asked);
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let _ = std::io::Write::write_all(&mut stream, text.as_bytes());
}

#[test]
fn wait_ends_in_time_with_not_acquired_code() {
    let open: std::sync::Mutex<Vec<TcpStream>> = std::sync::Mutex::default();
    let frozen = Spec::in_memory().start();
    frozen.freeze_whole();
    let peers = [
        ("takes and never answers", peer(move |stream| open.lock().expect("no panic").push(stream)), SILENT),
        ("a frozen server", super::job::url(&frozen), SILENT),
        ("closes every connection", peer(drop), "cannot be reached: "),
        ("a proxy without a server", peer(|stream| answer(stream, "503 Service Unavailable", "")), "answered 503"),
        ("a proxy that is impatient", peer(|stream| answer(stream, "504 Gateway Timeout", "")), "answered 504"),
        ("a node that lost its disk", peer(|stream| answer(stream, "503 Service Unavailable", LOST_DISK)), "directory"),
    ];
    for (what, url, why) in &peers {
        let (ended, took) = tried(url, "3s");
        assert_eq!((ended.code, &*ended.stdout), (Some(75), ""), "{what}: {}", ended.stderr);
        let wait = Duration::from_secs(3);
        assert!(took >= wait && took < wait + LATE, "{what}: {took:?}");
        check_no_answer(&ended, why);
        let (ended, _) = tried(url, "0s");
        assert_eq!((ended.code, &*ended.stdout), (Some(75), ""), "{what}: {}", ended.stderr);
        check_no_answer(&ended, why);
    }
    let nodes = format!("http://127.0.0.1:1,{},{}", peers[5].1, peers[0].1);
    let (ended, _) = tried(&nodes, "3s");
    for why in ["Connection refused", SILENT, "another data directory"] {
        check_no_answer(&ended, why);
    }
    frozen.thaw();
}

#[test]
fn lock_without_server_fails_within_wait() {
    let nowhere = "127.0.0.1:1";
    for (wait, longest) in [("0s", LATE), ("3s", Duration::from_secs(3) + LATE)] {
        let (ended, took) = tried(&format!("http://{nowhere}"), wait);
        assert_eq!((ended.code, &*ended.stdout), (Some(69), ""), "{wait}: {}", ended.stderr);
        assert!(took < longest, "{wait}: {took:?}");
        check_no_answer(&ended, "cannot be reached: Connection refused");
    }
}

#[test]
fn idle_timeout_of_a_proxy_keeps_the_queue_place() {
    let server = Spec::in_memory().start();
    let mut holder = super::job::Job::start(&mut lock(&server, "waited", &[], "echo $$; exec sleep 60"));
    holder.number();
    let upstream = server.http();
    let cutting = peer(move |client| {
        let server = TcpStream::connect(upstream).expect("the server listens");
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
            from.set_read_timeout(Some(Duration::from_millis(700))).expect("a socket takes a timeout");
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    let (ended, took) = tried(&cutting, "3s");
    assert_eq!((ended.code, &*ended.stdout), (Some(75), ""), "{}", ended.stderr);
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(3) + LATE, "{took:?}");
}
