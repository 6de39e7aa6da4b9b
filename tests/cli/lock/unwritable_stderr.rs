//! A lost lock ends the command in time, even if stderr is full, closed or never read.

use std::process::Stdio;
use std::time::Instant;

use super::job::{Job, latchd, lives, lock, run, url};
use super::lost::{FLAGS, LEASE, OBEDIENT, STUBBORN};
use crate::cli::unwritable_output::{closed, full, unread};
use crate::support::spec::Spec;

/// Each kind of stderr that takes no bytes, with the reader to keep open.
fn deaf() -> [(&'static str, Stdio, Option<std::io::PipeReader>); 3] {
    let (pipe, reader) = unread();
    [("full", full(), None), ("closed", closed(), None), ("unread", pipe, Some(reader))]
}

/// Redirects the output of the shell itself.
fn silent(script: &str) -> String {
    format!("exec 2>/dev/null; {script}")
}

#[test]
fn term_ends_command_in_time_with_lost_code() {
    for (kind, stderr, _open) in deaf() {
        let mut server = Spec::in_memory().start();
        let mut job = Job::start(lock(&server, "unheard", FLAGS, &silent(OBEDIENT)).stderr(stderr));
        let command = job.number();
        server.kill();
        let killed = Instant::now();
        assert_eq!(job.line(), "TERM", "{kind}");
        assert!(killed.elapsed() < LEASE, "{kind}: {:?}", killed.elapsed());
        assert_eq!(job.end().code, Some(76), "{kind}");
        assert!(!lives(command), "{kind}");
    }
}

#[test]
fn kill_follows_an_ignored_term() {
    for (kind, stderr, _open) in deaf() {
        let mut server = Spec::in_memory().start();
        let mut job = Job::start(lock(&server, "unheard", FLAGS, &silent(STUBBORN)).stderr(stderr));
        let processes = [job.number(), job.number()];
        server.kill();
        let killed = Instant::now();
        let ended = job.end();
        assert!(killed.elapsed() < LEASE + std::time::Duration::from_secs(2), "{kind}: {:?}", killed.elapsed());
        assert_eq!(ended.code, Some(76), "{kind}");
        assert!(!processes.into_iter().any(lives), "{kind}");
    }
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
