//! A full, closed, broken or unread stderr costs log lines and nothing else.

use std::fs::OpenOptions;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::http::Connection;

const TIMEOUT: Duration = Duration::from_secs(60);
/// Each of them logs some hundred bytes: together more than a pipe holds.
const FORCED: usize = 500;

/// A server whose output is given by the test.
struct Muted {
    child: Child,
    address: SocketAddr,
    home: tempfile::TempDir,
}

impl Muted {
    /// Starts it through a shell, whose script redirects the output.
    fn start(script: &str, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>, configuration: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        std::fs::write(home.path().join("latchd.toml"), configuration).expect("written");
        // The line that names the port may be lost as well.
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound");
        drop(free);
        let arguments = format!("serve --config latchd.toml --data-dir data --listen http://{address}");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {} {arguments} {script}", env!("CARGO_BIN_EXE_latchd"))]);
        command.current_dir(home.path()).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = command.spawn().expect("sh");
        let server = Self { child, address, home };
        let deadline = Instant::now() + TIMEOUT;
        while server.try_get("/readyz").is_none_or(|status| status != 200) {
            assert!(Instant::now() < deadline, "it does not serve");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    fn connect(&self) -> Connection {
        Connection::plain(self.address).expect("a connection")
    }

    fn try_get(&self, path: &str) -> Option<u16> {
        Connection::plain(self.address).ok()?.request("GET", path, &[], b"").ok().map(|answer| answer.status)
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.connect().request("GET", "/metrics", &[], b"").expect("an answer").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
    }

    /// Acquires a lock and ends the hold by force, which is logged.
    fn force_one(connection: &mut Connection) {
        let taken = connection.request("POST", "/lock", &[], br#"{"resource": "forced"}"#).expect("an answer");
        assert_eq!(taken.status, 200, "{}", taken.text());
        let shown = connection.request("GET", "/v1/locks/forced", &[], b"").expect("an answer").json();
        let key = shown["holders"][0]["key"].as_str().unwrap_or_else(|| panic!("a key in {shown}")).to_owned();
        let path = format!("/v1/locks/forced/holds/{key}?reason={}", "because".repeat(20));
        let forced = connection.request("DELETE", &path, &[], b"").expect("an answer");
        assert_eq!(forced.status, 200, "{}", forced.text());
    }

    fn ends(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it runs");
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.child.try_wait().expect("it can be asked") {
                Some(status) => return status,
                None => assert!(Instant::now() < deadline, "SIGTERM does not end it"),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Muted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn device_without_room() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").expect("a device").into()
}

/// A full pipe; it stays full while the reader is kept and not read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("a pipe");
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).expect("a pipe");
    (reader, writer)
}

fn broken_pipe() -> PipeWriter {
    pipe().expect("a pipe").1
}

fn serves_and_ends(server: Muted) {
    let mut connection = server.connect();
    let before = server.metric("latchd_forced_releases_total");
    (0..FORCED).for_each(|_| Muted::force_one(&mut connection));
    assert_eq!(server.metric("latchd_forced_releases_total"), before + FORCED as u64);
    let status = server.ends();
    assert!(status.success(), "{status}");
}

#[test]
fn full_stderr_device_costs_only_counted_lines() {
    let server = Muted::start("", Stdio::null(), device_without_room(), "");
    let mut connection = server.connect();
    (0..10).for_each(|_| Muted::force_one(&mut connection));
    let deadline = Instant::now() + TIMEOUT;
    while server.metric("latchd_log_lines_lost_total") < 10 {
        assert!(Instant::now() < deadline, "lost lines are not counted");
        std::thread::sleep(Duration::from_millis(5));
    }
    serves_and_ends(server);
}

#[test]
fn closed_stderr_changes_nothing() {
    serves_and_ends(Muted::start("2>&-", Stdio::null(), Stdio::null(), ""));
}

#[test]
fn broken_stderr_pipe_changes_nothing() {
    serves_and_ends(Muted::start("", Stdio::null(), broken_pipe(), ""));
}

#[test]
fn unread_stderr_pipe_changes_nothing() {
    let (_reader, writer) = pipe().expect("a pipe");
    serves_and_ends(Muted::start("", Stdio::null(), writer, ""));
}

#[test]
fn full_output_before_start_changes_nothing() {
    let (_stdout, out) = full_pipe();
    let (_stderr, err) = full_pipe();
    serves_and_ends(Muted::start("", out, err, ""));
    let (_stderr, err) = full_pipe();
    serves_and_ends(Muted::start(">&-", Stdio::null(), err, ""));
}

#[test]
fn snapshots_continue_while_the_log_is_unread() {
    let (_stderr, err) = full_pipe();
    let server = Muted::start("", Stdio::null(), err, "[storage]\nsnapshot_log_bytes = \"16KiB\"\n");
    let mut connection = server.connect();
    let mut seen = std::collections::BTreeSet::from([0]);
    let deadline = Instant::now() + TIMEOUT;
    while seen.len() < 5 {
        (0..20).for_each(|_| Muted::force_one(&mut connection));
        seen.insert(server.metric("latchd_log_snapshot_index"));
        assert!(Instant::now() < deadline, "snapshots stop: {seen:?}");
    }
    assert!(server.home.path().join("data").exists());
    assert!(server.ends().success());
}

#[test]
fn failed_start_ends_while_its_log_is_unread() {
    for stderr in [Stdio::from(full_pipe_kept_for_good()), device_without_room(), broken_pipe().into()] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
        command.args(["serve", "--listen", "ftp://nowhere"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let mut child = command.spawn().expect("the binary starts");
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            match child.try_wait().expect("it can be asked") {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    let _ = child.kill();
                    panic!("it does not end");
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        assert_eq!(status.code(), Some(1), "{status}");
    }
}

/// Its reader stays open until the test process ends.
fn full_pipe_kept_for_good() -> PipeWriter {
    let (reader, writer) = full_pipe();
    std::mem::forget(reader);
    writer
}
