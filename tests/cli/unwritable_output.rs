//! Subcommands do their work, and exit with its code, if their output is full, closed or never read.

use std::fs::File;
use std::io::{PipeReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::lock::job::{TIMEOUT, latchd, url};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// Every write fails: no space is left.
pub fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("the device").into()
}

/// Every write fails: the reader has gone.
pub fn closed() -> Stdio {
    let (_, writer) = std::io::pipe().expect("a pipe");
    writer.into()
}

/// Every write blocks until the pipe is read.
pub fn unread() -> (Stdio, PipeReader) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let room = rustix::pipe::fcntl_getpipe_size(&writer).expect("a pipe");
    writer.write_all(&vec![b'x'; room]).expect("room");
    (writer.into(), reader)
}

fn code(mut command: Command) -> Option<i32> {
    let mut child = command.stdin(Stdio::null()).spawn().expect("the binary starts");
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(status) = child.try_wait().expect("the child can be asked") {
            return status.code();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn asked(server: &Server, arguments: &[&str], stdout: Stdio, stderr: Stdio) -> Command {
    let mut command = latchd(&url(server));
    command.args(arguments).stdout(stdout).stderr(stderr);
    command
}

/// Commands whose output is their result: they fail without it, unless their reader has seen enough.
const SHOWING: &[&[&str]] = &[
    &["locks"],
    &["locks", "--output", "json"],
    &["sessions", "--output", "json"],
    &["members", "list"],
    &["completions", "bash"],
    &["watch", "held"],
    &["watch", "held", "--output", "json"],
];

#[test]
fn unwritable_listing_fails_but_closed_pipe_does_not() {
    let server = Spec::in_memory().start();
    assert_eq!(Client::plain(&server).send("POST", "/lock/held", b"").status, 200);
    for arguments in SHOWING {
        assert_eq!(code(asked(&server, arguments, full(), Stdio::null())), Some(1), "{arguments:?} >/dev/full");
        assert_eq!(code(asked(&server, arguments, full(), full())), Some(1), "{arguments:?}, both full");
        assert_eq!(code(asked(&server, arguments, closed(), full())), Some(0), "{arguments:?} | true");
    }
}

#[test]
fn closed_stdout_does_not_undo_a_command() {
    let server = Spec::in_memory().start();
    let home = tempfile::tempdir().expect("a directory");
    let path = |name: &str| home.path().join(name).display().to_string();
    let backup = path("backup");
    assert_eq!(code(asked(&server, &["backup", &backup], Stdio::null(), Stdio::null())), Some(0));
    type Deaf = (&'static str, fn() -> (Stdio, Option<PipeReader>));
    let kinds: [Deaf; 3] = [
        ("full", || (full(), None)),
        ("closed", || (closed(), None)),
        ("unread", || {
            let (pipe, reader) = unread();
            (pipe, Some(reader))
        }),
    ];
    for (kind, deaf) in kinds {
        let ((out, _reader), (err, _other)) = (deaf(), deaf());
        assert_eq!(code(asked(&server, &["health"], out, err)), Some(0), "{kind}");
        let name = format!("held-{kind}");
        assert_eq!(Client::plain(&server).send("POST", &format!("/lock/{name}"), b"").status, 200);
        let forced = ["unlock", &name, "--force", "--reason", "a test"];
        let ((out, _reader), (err, _other)) = (deaf(), deaf());
        assert_eq!(code(asked(&server, &forced, out, err)), Some(0), "{kind}");
        assert_eq!(Client::plain(&server).get(&format!("/v1/locks/{name}")).status, 404, "{kind}: not ended");
        let (certs, data, copy) = (path(&format!("pki-{kind}")), path(&format!("data-{kind}")), path(kind));
        for arguments in [
            vec!["certs", "init", "--dir", &certs, "--nodes", "1=localhost"],
            vec!["backup", &copy],
            vec!["restore", &backup, "--data-dir", &data],
        ] {
            let ((out, _reader), (err, _other)) = (deaf(), deaf());
            assert_eq!(code(asked(&server, &arguments, out, err)), Some(0), "{kind}: {arguments:?}");
        }
        let made = [format!("{certs}/node1.pem"), data, copy];
        assert!(made.iter().all(|path| std::path::Path::new(path).exists()), "{kind}: {made:?}");
    }
}

#[test]
fn refusal_keeps_its_exit_code_without_stderr() {
    let server = Spec::in_memory().api_key("a key").start();
    for arguments in [vec!["locks"], vec!["unlock", "a", "--key", "k"], vec!["members", "promote", "1"]] {
        let (pipe, _reader) = unread();
        for stderr in [full(), closed(), pipe] {
            assert_eq!(code(asked(&server, &arguments, Stdio::null(), stderr)), Some(1), "{arguments:?}");
        }
    }
    for arguments in [vec!["--help"], vec!["--version"]] {
        assert_eq!(code(asked(&server, &arguments, full(), full())), Some(0), "{arguments:?}");
    }
    let (pipe, _reader) = unread();
    for stderr in [full(), closed(), pipe] {
        let start = ["serve", "--listen", "ftp://x"];
        assert_eq!(code(asked(&server, &start, Stdio::null(), stderr)), Some(1), "{start:?}");
    }
}
