//! The command has the signal mask and the dispositions of the caller of `latchd lock`.

use std::process::{Command, Stdio};

use super::job::{run, url};
use crate::support::spec::Spec;

/// Sets both up as asked, then becomes the rest of its arguments.
const CALLER: &str = "
import os, signal, sys
numbers = lambda text: {int(number) for number in text.split(',') if number}
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
for number in numbers(sys.argv[1]):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, numbers(sys.argv[2]))
os.execvp(sys.argv[3], sys.argv[3:])
";

/// The mask and dispositions of a command that this caller starts, through `before` or directly.
fn found(server: &str, ignored: &str, blocked: &str, before: &[&str]) -> String {
    let mut command = Command::new("python3");
    command.args(["-c", CALLER, ignored, blocked]).args(before);
    command.args(["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]);
    command.env("LATCHD_URL", server).env("XDG_CONFIG_HOME", "/nonexistent");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = run(command);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "ignored {ignored}, blocked {blocked}");
    ended.stdout
}

#[test]
fn command_inherits_signal_mask_and_dispositions() {
    let server = Spec::in_memory().start();
    let url = url(&server);
    let through = [env!("CARGO_BIN_EXE_latchd"), "lock", "inherited", "--"];
    // HUP 1, USR1 10, TERM 15, CHLD 17, TSTP 20, TTIN 21, TTOU 22, WINCH 28.
    for (ignored, blocked) in [("", ""), ("1,20,22", ""), ("17", ""), ("", "10,15,17,22"), ("1,10,17,21,28", "22")] {
        let direct = found(&url, ignored, blocked, &[]);
        assert_eq!(found(&url, ignored, blocked, &through), direct, "ignored {ignored}, blocked {blocked}");
    }
}
