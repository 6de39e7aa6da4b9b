//! A lost lock ends the command in time, even if stderr is full, closed or never read.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::job::{Job, latchd, lives, lock, run, url};
use super::lost::{FLAGS, KILLED_WITHIN, LEASE, OBEDIENT, STUBBORN};
use crate::cli::unwritable_output::{closed, full, unread};
use crate::support::in_time::some_attempt_within;
use crate::support::spec::Spec;

/// Each kind of stderr that takes no bytes, with the reader to keep open.
fn deaf() -> [(&'static str, Stdio, Option<std::io::PipeReader>); 3] {
    let (pipe, reader) = unread();
    [("full", full(), None), ("closed", closed(), None), ("unread", pipe, Some(reader))]
}

/// Does it with all kinds at once; gives the longest time.
fn for_each_deaf(check: impl Fn(&str, Stdio) -> Duration + Sync) -> Duration {
    std::thread::scope(|scope| {
        let check = &check;
        let runs = deaf().map(|(kind, stderr, open)| {
            scope.spawn(move || {
                let _open = open;
                check(kind, stderr)
            })
        });
        runs.map(|run| run.join().expect("no panic")).into_iter().max().expect("three kinds")
    })
}

/// Redirects the output of the shell itself.
fn silent(script: &str) -> String {
    format!("exec 2>/dev/null; {script}")
}

#[test]
fn term_ends_command_in_time_with_lost_code() {
    some_attempt_within(LEASE, || {
        for_each_deaf(|kind, stderr| {
            let mut server = Spec::in_memory().start();
            let mut job = Job::start(lock(&server, "unheard", FLAGS, &silent(OBEDIENT)).stderr(stderr));
            let command = job.number();
            server.kill();
            let killed = Instant::now();
            assert_eq!(job.line(), "TERM", "{kind}");
            let took = killed.elapsed();
            assert_eq!(job.end().code, Some(76), "{kind}");
            assert!(!lives(command), "{kind}");
            took
        })
    });
}

#[test]
fn kill_follows_an_ignored_term() {
    let took = for_each_deaf(|kind, stderr| {
        let mut server = Spec::in_memory().start();
        let mut job = Job::start(lock(&server, "unheard", FLAGS, &silent(STUBBORN)).stderr(stderr));
        let processes = [job.number(), job.number()];
        server.kill();
        let killed = Instant::now();
        let ended = job.end();
        let took = killed.elapsed();
        assert_eq!(ended.code, Some(76), "{kind}");
        assert!(!processes.into_iter().any(lives), "{kind}");
        took
    });
    assert!(took < KILLED_WITHIN, "{took:?}");
}

#[test]
fn full_stderr_changes_no_exit_code() {
    let server = Spec::in_memory().start();
    let mut holder = Job::start(&mut lock(&server, "taken", &[], "echo $$; exec sleep 60"));
    holder.number();
    for (kind, stderr, _open) in deaf() {
        let refused = run({
            let mut command = lock(&server, "taken", &["--wait", "0s"], "echo ran");
            command.stderr(stderr);
            command
        });
        assert_eq!((refused.code, &*refused.stdout), (Some(75), ""), "{kind}");
    }
    for (kind, stderr, _open) in deaf() {
        let not_found = run({
            let mut command = latchd(&url(&server));
            command.args(["lock", "missing", "--", "no-such-program"]).stderr(stderr);
            command
        });
        assert_eq!(not_found.code, Some(127), "{kind}");
    }
}
