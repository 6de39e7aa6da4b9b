//! The command may read from the terminal, and job control works as without `latchd lock`.

use super::job::{latchd, run, url};
use crate::support::spec::Spec;

#[test]
fn command_gets_the_terminal_with_job_control() {
    let server = Spec::in_memory().start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/terminal.py");
    let mut command = std::process::Command::new("python3");
    command.arg(script).arg(env!("CARGO_BIN_EXE_latchd")).env("LATCHD_URL", url(&server));
    command.env("XDG_CONFIG_HOME", "/nonexistent").stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let ended = run(command);
    assert!(ended.stdout.trim_end().ends_with("all passed"), "{}{}", ended.stdout, ended.stderr);
    let free = run({
        let mut command = latchd(&url(&server));
        command.args(["lock", "terminal", "--wait", "0s", "--", "true"]);
        command
    });
    assert_eq!(free.code, Some(0), "{}", free.stderr);
}
