//! What `latchd lock` tells while it waits or holds: each freeze above it, and a credential that opens no more.

use super::super::binary;
use super::super::operate::{KEY, operate, server};
use super::job::{Job, lock, wait_until};
use crate::support::spec::Spec;

#[test]
fn waiting_lock_tells_of_a_freeze_that_begins_while_it_waits() {
    let server = server();
    let freeze = |reason: &str| operate(&server, &["freeze", "deploy", "--reason", reason, "--for", "1h"]);
    assert!(freeze("the first reason").status.success());
    let job = Job::start(lock(&server, "deploy", &["--wait", "10m"], "true").env("LATCHD_API_KEY", KEY));
    wait_until("the first reason", || job.said().contains("the first reason"));
    assert!(freeze("the second reason").status.success());
    wait_until("the second reason", || job.said().contains("the second reason"));
    assert_eq!(job.said().matches("the first reason").count(), 1, "{}", job.said());
    assert!(operate(&server, &["thaw", "deploy"]).status.success());
    assert_eq!(job.end().code, Some(0));
}

#[test]
fn lock_whose_key_is_taken_away_says_so_when_it_is_lost() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("keys.toml").display().to_string();
    let keys = |arguments: &[&str]| binary::latchd(&[&["keys"], arguments, &["--file", &path]].concat(), "");
    let (good, key, told) = keys(&["new", "ci"]);
    assert!(good && keys(&["new", "ops", "--role", "admin"]).0, "{told}");
    let access = format!("[access]\nkeys_file = {path:?}\nreload_interval = \"20ms\"\n");
    let server = Spec::in_memory().configuration(access).start();
    let script = "echo $$; exec sleep 600";
    let mut job = Job::start(lock(&server, "held", &["--lease", "6s"], script).env("LATCHD_API_KEY", key.trim()));
    job.number();
    assert!(keys(&["remove", "ci"]).0);
    let ended = job.end();
    assert_eq!(ended.code, Some(76), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("could not be renewed in time: ") && ended.stderr.contains("401 Unauthorized"),
        "{}",
        ended.stderr
    );
}
