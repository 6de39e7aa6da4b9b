//! A process or thread that the system cannot start is reported.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::job::{Ended, run, url};
use crate::support::spec::Spec;

/// The first of some user ids that only these tests use, so that all of their processes belong to the test.
const USER: u32 = 64_199;

fn limited(folder: &std::path::Path, user: u32, url: &str, processes: u32) -> Ended {
    let mut command = Command::new("setpriv");
    let user = user.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "bash", "-c"]);
    let latchd = folder.join("latchd");
    command.arg(format!("ulimit -u {processes}; exec {} lock a --wait 0s -- echo ran", latchd.display()));
    command.env("LATCHD_URL", url).env("XDG_CONFIG_HOME", "/nonexistent").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    run(command)
}

#[test]
fn unstartable_process_or_thread_is_reported() {
    let server = Spec::in_memory().start();
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("ours");
    std::fs::copy(env!("CARGO_BIN_EXE_latchd"), folder.path().join("latchd")).expect("the binary");
    for (processes, what) in [(1, "the command cannot be started"), (2, "guard cannot be started")] {
        let ended = limited(folder.path(), USER + processes, &url(&server), processes);
        assert_eq!((ended.code, &*ended.stdout), (Some(71), ""), "{processes}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("latchd: ") && ended.stderr.contains(what), "{processes}: {}", ended.stderr);
    }
    let by_name = url(&server).replace("127.0.0.1", "localhost");
    let ended = limited(folder.path(), USER, &by_name, 2);
    assert_eq!((ended.code, &*ended.stdout), (Some(69), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("no thread can be started to look its name up"), "{}", ended.stderr);
}
