//! If `latchd lock` itself is killed, no process of its command goes on.

use rustix::process::Signal;

use super::job::{Job, lives, lock, run, wait_until};
use crate::support::spec::Spec;

#[test]
fn killed_latchd_lock_kills_command_and_children() {
    let server = Spec::in_memory().start();
    let script = "sh -c 'echo $$; exec sleep 600' & echo $$; wait";
    let mut job = Job::start(&mut lock(&server, "killed", &["--lease", "6s"], script));
    let processes = [job.number(), job.number()];
    assert!(processes.into_iter().all(lives));
    job.signal(Signal::KILL);
    wait_until("all are dead", || !processes.into_iter().any(lives));
    assert_eq!(job.end().code, None);
    let next = run(lock(&server, "killed", &["--wait", "30s"], "echo ran"));
    assert_eq!((next.code, &*next.stdout), (Some(0), "ran\n"), "the lease did not end");
}
