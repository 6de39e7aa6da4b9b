//! Signals reach the command, and end a wait in good order.

use rustix::process::Signal;

use super::job::{Job, lock, state, wait_until};
use crate::support::client::Client;
use crate::support::spec::Spec;

#[test]
fn received_signals_are_passed_to_the_command() {
    let server = Spec::in_memory().start();
    let traps =
        "for name in HUP INT QUIT USR1 USR2 WINCH; do trap \"echo $name\" $name; done; trap 'echo TERM; exit 9' TERM";
    let mut job =
        Job::start(&mut lock(&server, "signals", &[], &format!("{traps}; echo $$; while :; do sleep 0.02; done")));
    job.number();
    let named = [
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::WINCH, "WINCH"),
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::TERM, "TERM"),
    ];
    for (signal, name) in named {
        job.signal(signal);
        assert_eq!(job.line(), name);
    }
    assert_eq!(job.end().code, Some(9));
}

#[test]
fn signal_that_ends_the_command_sets_exit_code() {
    let server = Spec::in_memory().start();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let mut job = Job::start(&mut lock(&server, "signals", &[], "echo $$; exec sleep 60"));
        job.number();
        job.signal(signal);
        assert_eq!(job.end().code, Some(code));
    }
}

#[test]
fn stopped_command_keeps_its_lock_until_continued() {
    let server = Spec::in_memory().start();
    let mut job = Job::start(&mut lock(&server, "stopped", &["--lease", "6s"], "echo $$; exec sleep 60"));
    let command = job.number();
    job.signal(Signal::TSTP);
    wait_until("the command stops", || state(command) == Some('T'));
    let mut client = Client::plain(&server);
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_secs(8) {
        assert_eq!(client.get("/v1/locks/stopped").status, 200, "the lock of a stopped command was not kept");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    job.signal(Signal::CONT);
    wait_until("the command goes on", || state(command) == Some('S'));
    job.signal(Signal::TERM);
    assert_eq!(job.end().code, Some(143));
}

#[test]
fn ignored_signals_stay_ignored() {
    let server = Spec::in_memory().start();
    let url = super::job::url(&server);
    let mut command = super::job::latchd(&url);
    // As nohup does it.
    let script =
        format!("trap '' HUP; exec {} lock hup -- sh -c 'echo $$; sleep 0.3; exit 3'", env!("CARGO_BIN_EXE_latchd"));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).env("LATCHD_URL", &url).env("XDG_CONFIG_HOME", "/nonexistent");
    shell.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    std::mem::swap(&mut command, &mut shell);
    let mut job = Job::start(&mut command);
    job.number();
    job.signal(Signal::HUP);
    assert_eq!(job.end().code, Some(3));
}

#[test]
fn signal_ends_the_wait_and_leaves_the_queue() {
    let server = Spec::in_memory().start();
    let mut holder = Job::start(&mut lock(&server, "queue", &[], "echo $$; exec sleep 60"));
    holder.number();
    let waiting = Job::start(&mut lock(&server, "queue", &[], "echo ran"));
    let mut client = Client::plain(&server);
    let mut queue = || client.get("/v1/locks/queue").json()["queue_length"].clone();
    wait_until("somebody waits", || queue() == 1);
    waiting.signal(Signal::INT);
    let ended = waiting.end();
    assert_eq!((ended.code, &*ended.stdout), (Some(130), ""), "{}", ended.stderr);
    wait_until("nobody waits", || queue() == 0);
}
