//! A command that runs as another user cannot be ended: this is reported, and the lock ends with its lease.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::job::{Job, lives, url, wait_until};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;
use crate::support::sse::Events;

/// As `nobody`, around a command that changes back to root as sudo does.
struct Rig {
    server: Server,
    _folder: tempfile::TempDir,
    job: Option<Job>,
    command: u32,
}

impl Rig {
    fn start(lease: &str) -> Rig {
        let server = Spec::in_memory().start();
        let folder = tempfile::tempdir().expect("a directory");
        let sudo = folder.path().join("sudo");
        std::fs::copy("/usr/bin/setpriv", &sudo).expect("setpriv of util-linux");
        std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o4755)).expect("root may");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("ours");
        let binary = folder.path().join("latchd");
        std::fs::copy(env!("CARGO_BIN_EXE_latchd"), &binary).expect("the binary");
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&binary);
        command.args(["lock", "untouchable", "--lease", lease, "--"]);
        command.arg(&sudo).args(["--reuid", "0", "--regid", "0", "--clear-groups"]);
        command.args(["sh", "-c", "echo $$; exec sleep 600 >/dev/null 2>&1"]);
        command.env("LATCHD_URL", url(&server)).env("XDG_CONFIG_HOME", "/nonexistent");
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut job = Job::start(&mut command);
        let command = job.number();
        Rig { server, _folder: folder, job: Some(job), command }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let command = Pid::from_raw(self.command as i32).expect("a process id");
        // Nobody else ends it.
        let _ = kill_process(command, Signal::KILL);
    }
}

#[test]
fn unkillable_command_is_reported_as_still_running() {
    let mut rig = Rig::start("6s");
    let mut events = Events::open(rig.server.http(), "/v1/events?name=untouchable", &[]);
    events.expect("started");
    rig.server.freeze_whole();
    let ended = rig.job.take().expect("a job").end();
    rig.server.thaw();
    assert_eq!(ended.code, Some(79), "{}", ended.stderr);
    assert!(ended.stderr.contains("still runs without its lock"), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("{} (sleep)", rig.command)), "{}", ended.stderr);
    assert!(lives(rig.command));
    let end = events.event();
    assert_eq!(end.0, "expired", "it was given back while the command runs: {}", end.1);
}

#[test]
fn signal_that_cannot_be_passed_on_is_reported_and_lock_kept() {
    let rig = Rig::start("30s");
    let job = rig.job.as_ref().expect("a job");
    job.signal(Signal::TERM);
    wait_until("a word", || job.said().contains("is not passed on"));
    assert!(lives(rig.command));
    let holders = Client::plain(&rig.server).get("/v1/locks/untouchable").json()["holders"].clone();
    assert!(holders[0]["fencing_token"].is_u64(), "{holders}");
}
