//! A lost lock ends all processes of the command in time.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::job::{Job, lives, lock, run};
use crate::support::client::Client;
use crate::support::in_time::some_attempt_within;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// A stall of a second or two costs no lock.
pub const LEASE: Duration = Duration::from_secs(9);
pub const FLAGS: &[&str] = &["--lease", "9s"];
/// What is not killed lives longer.
pub const KILLED_WITHIN: Duration = Duration::from_secs(50);

/// Ends as soon as it is asked to.
pub const OBEDIENT: &str = "trap 'echo TERM; exit 0' TERM; echo $$; while :; do sleep 0.02; done";
/// A child of a child; neither ends when it is asked to.
pub const STUBBORN: &str = "trap '' TERM; sh -c 'echo $$; exec sleep 600' & echo $$; wait; exec sleep 600";

#[test]
fn dead_service_ends_the_command_before_the_lease() {
    some_attempt_within(LEASE, || {
        let mut server = Spec::in_memory().start();
        let mut job = Job::start(&mut lock(&server, "lost", FLAGS, OBEDIENT));
        let command = job.number();
        // The last renewal is before this moment, so the lease ends less than its length after it.
        server.kill();
        let killed = Instant::now();
        let ended = job.end();
        let took = killed.elapsed();
        assert_eq!((ended.code, &*ended.stdout), (Some(76), "TERM\n"), "{}", ended.stderr);
        assert!(ended.stderr.contains("could not be renewed"), "{}", ended.stderr);
        assert!(!lives(command));
        took
    });
}

#[test]
fn hanging_service_kills_command_and_children() {
    let server = Spec::in_memory().start();
    let mut job = Job::start(&mut lock(&server, "lost", FLAGS, STUBBORN));
    let processes = [job.number(), job.number()];
    server.freeze_whole();
    let frozen = Instant::now();
    let ended = job.end();
    assert!(frozen.elapsed() < KILLED_WITHIN, "{:?}", frozen.elapsed());
    assert_eq!(ended.code, Some(76), "{}", ended.stderr);
    assert!(ended.stderr.contains("gets KILL"), "{}", ended.stderr);
    assert!(!processes.into_iter().any(lives));
}

#[test]
fn kill_comes_before_the_lease_ends() {
    some_attempt_within(LEASE, || {
        let mut server = Spec::in_memory().start();
        // A process that ignores TERM counts hundredths of a second.
        let script = "trap '' TERM; echo $$; while :; do echo tick; sleep 0.01; done";
        let mut job = Job::start(&mut lock(&server, "lost", FLAGS, script));
        job.number();
        server.kill();
        let killed = Instant::now();
        let mut last = killed;
        while job.line() == "tick" {
            last = Instant::now();
        }
        assert!(last.duration_since(killed) > LEASE / 4, "it was ended too early: {:?}", last.duration_since(killed));
        assert_eq!(job.end().code, Some(76));
        last.duration_since(killed)
    });
}

#[test]
fn forced_release_ends_the_command_at_next_renewal() {
    let server = Spec::in_memory().start();
    let mut job = Job::start(&mut lock(&server, "forced", FLAGS, OBEDIENT));
    job.number();
    let mut client = Client::plain(&server);
    let held = client.get("/v1/locks/forced").json();
    let key = held["holders"][0]["key"].as_str().expect("a key").to_owned();
    let forced = client.delete(&format!("/v1/locks/forced/holds/{key}?reason=test"));
    assert_eq!(forced.status, 200, "{}", forced.text());
    let ended = job.end();
    assert_eq!((ended.code, &*ended.stdout), (Some(76), "TERM\n"));
    assert!(ended.stderr.contains("the hold has ended"), "{}", ended.stderr);
}

/// Takes the lock, has its hold ended by an admin, and lets the command end then.
fn ended_under_it(server: &Server, script: &str) -> super::job::Ended {
    let script = format!("echo $$; read -r line; {script}");
    let mut job = Job::start(lock(server, "forced", &[], &script).stdin(std::process::Stdio::piped()));
    job.number();
    let mut client = Client::plain(server);
    let held = client.get("/v1/locks/forced").json();
    let key = held["holders"][0]["key"].as_str().expect("a key").to_owned();
    assert_eq!(client.delete(&format!("/v1/locks/forced/holds/{key}?reason=test")).status, 200);
    job.close_stdin();
    job.end()
}

#[test]
fn lock_lost_before_its_release_is_reported() {
    let server = Spec::in_memory().start();
    for (script, code) in [("exit 0", 76), ("exit 3", 3)] {
        let ended = ended_under_it(&server, script);
        assert_eq!(ended.code, Some(code), "{script}: {}", ended.stderr);
        assert!(ended.stderr.contains("\"forced\" was lost while the command ran"), "{script}: {}", ended.stderr);
    }
}

#[test]
fn session_lost_before_the_release_is_reported() {
    let mut server = Spec::in_memory().start();
    let mut job = Job::start(
        lock(&server, "gone", &["--lease", "60s"], "echo $$; read -r line; exit 0").stdin(std::process::Stdio::piped()),
    );
    job.number();
    let url = format!("http://{}", server.http());
    server.kill();
    // It remembers nothing.
    let _again = Spec::in_memory().argument("--listen").argument(&url).start();
    job.close_stdin();
    let ended = job.end();
    assert_eq!(ended.code, Some(76), "{}", ended.stderr);
    assert!(ended.stderr.contains("was lost while the command ran"), "{}", ended.stderr);
}

/// A proxy that drops the first answer to a release.
fn lossy(server: SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let losses = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(server).expect("the server listens");
            let (to, from) = (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
            let is_release = Arc::new(AtomicBool::new(false));
            let (seen, losses) = (Arc::clone(&is_release), Arc::clone(&losses));
            std::thread::spawn(move || {
                pass_on(from, to, |asked| {
                    seen.fetch_or(asked.windows(10).any(|window| window == b"/v1/unlock"), Ordering::SeqCst);
                    true
                })
            });
            std::thread::spawn(move || {
                pass_on(server, client, |_| {
                    !is_release.load(Ordering::SeqCst) || losses.fetch_add(1, Ordering::SeqCst) > 0
                })
            });
        }
    });
    url
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mut passes: impl FnMut(&[u8]) -> bool) {
    let mut bytes = [0; 65536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if !passes(&bytes[..count]) || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn lost_release_answer_is_no_lost_lock() {
    let server = Spec::in_memory().start();
    let mut command = super::job::latchd(&lossy(server.http()));
    command.args(["lock", "given back", "--", "true"]);
    let ended = run(command);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    assert_eq!(Client::plain(&server).get("/v1/locks/given%20back").status, 404);
}

#[test]
fn renewals_keep_lock_beyond_lease_and_idle_timeout() {
    let kept = |spec: Spec, lease: &str| {
        let ended = run(lock(&spec.start(), "renewed", &["--lease", lease], "sleep 10; exit 4"));
        assert_eq!((ended.code, &*ended.stderr), (Some(4), ""), "{lease}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| kept(Spec::in_memory(), "8s"));
        scope.spawn(|| kept(Spec::in_memory().argument("--session-timeout").argument("8s"), "60s"));
    });
}

#[test]
fn service_back_before_the_lease_keeps_the_lock() {
    let server = Spec::in_memory().start();
    let mut job = Job::start(
        lock(&server, "back", &["--lease", "15s"], "echo $$; read -r line; exit 5").stdin(std::process::Stdio::piped()),
    );
    job.number();
    server.freeze_whole();
    std::thread::sleep(Duration::from_secs(6));
    server.thaw();
    let mut client = Client::plain(&server);
    super::job::wait_until("a renewal", || {
        let left = client.get("/v1/locks/back").json()["holders"][0]["remaining_seconds"].as_f64();
        left.is_some_and(|left| left > 14.0)
    });
    job.close_stdin();
    assert_eq!(job.end().code, Some(5));
}
