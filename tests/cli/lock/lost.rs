//! A lost lock ends the command, all of it, and in time.

use std::time::{Duration, Instant};

use super::job::{Job, lives, lock, run};
use crate::support::client::Client;
use crate::support::spec::Spec;

pub const LEASE: Duration = Duration::from_secs(3);
pub const FLAGS: &[&str] = &["--lease", "3s"];

/// Ends as soon as it is asked to.
pub const OBEDIENT: &str = "trap 'echo TERM; exit 0' TERM; echo $$; while :; do sleep 0.02; done";
/// A child of a child; neither ends when it is asked to.
pub const STUBBORN: &str = "trap '' TERM; sh -c 'echo $$; exec sleep 60' & echo $$; wait; exec sleep 60";

#[test]
fn a_dead_service_ends_the_command_before_its_lease() {
    let mut server = Spec::in_memory().start();
    let mut job = Job::start(&mut lock(&server, "lost", FLAGS, OBEDIENT));
    let command = job.number();
    // The last renewal is before this moment, so the lease ends less than its length after it.
    server.kill();
    let killed = Instant::now();
    let ended = job.end();
    assert!(killed.elapsed() < LEASE, "{:?}", killed.elapsed());
    assert_eq!((ended.code, &*ended.stdout), (Some(76), "TERM\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("could not be renewed"), "{}", ended.stderr);
    assert!(!lives(command));
}

#[test]
fn a_service_that_stands_still_ends_stubborn_commands_with_all_their_children() {
    let server = Spec::in_memory().start();
    let mut job = Job::start(&mut lock(&server, "lost", FLAGS, STUBBORN));
    let processes = [job.number(), job.number()];
    server.freeze_whole();
    let frozen = Instant::now();
    let ended = job.end();
    assert!(frozen.elapsed() < LEASE + Duration::from_secs(2), "{:?}", frozen.elapsed());
    assert_eq!(ended.code, Some(76), "{}", ended.stderr);
    assert!(ended.stderr.contains("gets KILL"), "{}", ended.stderr);
    assert!(!processes.into_iter().any(lives));
}

#[test]
fn kill_comes_before_the_lease_ends() {
    let mut server = Spec::in_memory().start();
    // Only what ignores TERM sees how far it gets: it counts hundredths of a second.
    let script = "trap '' TERM; echo $$; while :; do echo tick; sleep 0.01; done";
    let mut job = Job::start(&mut lock(&server, "lost", FLAGS, script));
    job.number();
    server.kill();
    let killed = Instant::now();
    let mut last = killed;
    while job.line() == "tick" {
        last = Instant::now();
    }
    assert!(last.duration_since(killed) < LEASE, "{:?}", last.duration_since(killed));
    assert!(last.duration_since(killed) > LEASE / 4, "it was ended too early: {:?}", last.duration_since(killed));
    assert_eq!(job.end().code, Some(76));
}

#[test]
fn a_forced_release_ends_the_command_at_the_next_renewal() {
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

#[test]
fn renewals_outlast_the_lease_and_the_sessions_idle_time() {
    for (server, lease) in [
        (Spec::in_memory().start(), "1s"),
        (Spec::in_memory().argument("--session-timeout").argument("3s").start(), "60s"),
    ] {
        let ended = run(lock(&server, "renewed", &["--lease", lease], "sleep 5; exit 4"));
        assert_eq!((ended.code, &*ended.stderr), (Some(4), ""), "{lease}");
    }
}

#[test]
fn a_service_that_comes_back_in_time_is_no_loss() {
    let server = Spec::in_memory().start();
    let mut job = Job::start(
        lock(&server, "back", &["--lease", "9s"], "echo $$; read -r line; exit 5").stdin(std::process::Stdio::piped()),
    );
    job.number();
    server.freeze_whole();
    std::thread::sleep(Duration::from_millis(4200));
    server.thaw();
    let mut client = Client::plain(&server);
    super::job::wait_until("a renewal", || {
        let left = client.get("/v1/locks/back").json()["holders"][0]["remaining_seconds"].as_f64();
        left.is_some_and(|left| left > 8.0)
    });
    job.close_stdin();
    assert_eq!(job.end().code, Some(5));
}
