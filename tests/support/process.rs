//! The built `latchd` binary as a child process: start, stop, freeze, kill, start again.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::output::{Captured, copy};
use super::spec::Spec;

/// How long a start or a stop may take before the test gives up; far beyond what the server promises.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. Dropping it kills the process.
pub struct Server {
    spec: Spec,
    /// The working directory, so that a server never writes into the repository.
    home: tempfile::TempDir,
    child: Child,
    first_line: String,
    https: SocketAddr,
    http: SocketAddr,
    stdout: Captured,
    stderr: Captured,
}

impl Server {
    /// Starts the binary and waits for the line that names its ports; an error holds its output.
    pub fn start(spec: Spec) -> Result<Self, String> {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let Launched { child, first_line, stdout, stderr } = launch(&spec, &home)?;
        let https = bound(&first_line, "https://");
        let http = bound(&first_line, "http://");
        Ok(Self { spec, home, child, first_line, https, http, stdout, stderr })
    }

    /// The address of the TLS listener.
    pub fn https(&self) -> SocketAddr {
        self.https
    }

    /// The address of the plaintext listener.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The address of the listener of the Redis protocol, where the spec has one.
    pub fn redis(&self) -> SocketAddr {
        bound(&self.first_line, "redis://")
    }

    /// The same over TLS.
    pub fn rediss(&self) -> SocketAddr {
        bound(&self.first_line, "rediss://")
    }

    /// The first line on stdout, which names every bound URL.
    pub fn first_line(&self) -> &str {
        &self.first_line
    }

    /// What the server has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text().clone()
    }

    /// What the server has written to stdout so far, the first line aside.
    pub fn stdout(&self) -> String {
        self.stdout.text().clone()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The working directory of the server.
    pub fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(mut self) -> Ended {
        self.signal(Signal::TERM);
        let status = self.wait();
        Ended { status, stdout: self.stdout.finish(), stderr: self.stderr.finish() }
    }

    /// Sends SIGTERM and does not wait.
    pub fn begin_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Whether the process has ended by itself, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be asked")
    }

    /// Freezes the process (SIGSTOP).
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Freezes the process and waits until each of its threads stands still.
    pub fn freeze_whole(&self) {
        self.freeze();
        let tasks = format!("/proc/{}/task", self.pid());
        let deadline = Instant::now() + PATIENCE;
        while !stands_still(&tasks) {
            assert!(Instant::now() < deadline, "the server did not stop on SIGSTOP");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Has the server read its files again (SIGHUP).
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// `kill -9`, then a start with the same arguments on the same data directory (on new ports).
    pub fn kill_and_restart(mut self) -> Self {
        self.kill();
        self.start_again()
    }

    /// SIGTERM, then a start with the same arguments on the same data directory (on new ports).
    pub fn stop_and_restart(self) -> Self {
        self.stop_and_wait().start_again()
    }

    /// SIGTERM, and waits for an end without an error.
    pub fn stop_and_wait(mut self) -> Self {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "SIGTERM ends with {status}: {}", self.stderr());
        self
    }

    /// Starts again after the process has ended, with the same arguments (on new ports).
    pub fn start_again(mut self) -> Self {
        let ended = self.ended();
        assert!(ended.is_some(), "the server still runs");
        let launched = launch(&self.spec, &self.home).unwrap_or_else(|output| panic!("{output}"));
        self.https = bound(&launched.first_line, "https://");
        self.http = bound(&launched.first_line, "http://");
        self.child = launched.child;
        self.first_line = launched.first_line;
        self.stdout = launched.stdout;
        self.stderr = launched.stderr;
        self
    }

    fn signal(&self, signal: Signal) {
        // An ended child that nobody waited for still owns its id, so this cannot hit a stranger.
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("{signal:?} to {pid:?}: {error}"));
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                return status;
            }
            if Instant::now() > deadline {
                panic!("the server did not end within {PATIENCE:?}: {}", self.stderr());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a stopped server ended, and all that it wrote.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `latchd` with `arguments` to its end: for commands that are expected to end by themselves.
pub fn run_to_end(arguments: &[&str]) -> Ended {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let mut child = command(&home, None).args(arguments).spawn().expect("the binary starts");
    let stdout = Captured::of(child.stdout.take().expect("stdout is piped"));
    let stderr = Captured::of(child.stderr.take().expect("stderr is piped"));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be asked") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("latchd {arguments:?} did not end within {PATIENCE:?}: {}", stderr.finish());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Ended { status, stdout: stdout.finish(), stderr: stderr.finish() }
}

struct Launched {
    child: Child,
    first_line: String,
    stdout: Captured,
    stderr: Captured,
}

/// The binary in its own directory, without any `LATCHD_*` of the caller's environment.
fn command(home: &tempfile::TempDir, open_files: Option<u32>) -> Command {
    const BINARY: &str = env!("CARGO_BIN_EXE_latchd");
    let mut command = Command::new(if open_files.is_some() { "sh" } else { BINARY });
    if let Some(count) = open_files {
        command.arg("-c").arg(format!("ulimit -n {count} && exec \"$0\" \"$@\"")).arg(BINARY);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LATCHD_") {
            command.env_remove(name);
        }
    }
    command.current_dir(home.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn launch(spec: &Spec, home: &tempfile::TempDir) -> Result<Launched, String> {
    let mut command = command(home, spec.open_files_limit());
    command.arg("serve").envs(spec.variables().iter().cloned());
    if let Some(text) = spec.configuration_text() {
        let file = home.path().join("test-config.toml");
        std::fs::write(&file, text).expect("the configuration can be written");
        command.arg("--config").arg(file);
    }
    let mut child = command.args(spec.serve_arguments()).spawn().expect("the binary starts");
    let stderr = Captured::of(child.stderr.take().expect("stderr is piped"));
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let (send, receive) = mpsc::channel();
    let rest = Captured::spawn(move |text| {
        let mut line = String::new();
        let read = stdout.read_line(&mut line);
        // The receiver is gone only when the start was given up.
        let _ = send.send(read.map(|_| line));
        copy(stdout, &text);
    });
    match receive.recv_timeout(PATIENCE) {
        Ok(Ok(line)) if line.contains("listening on") => {
            Ok(Launched { child, first_line: line.trim_end().to_owned(), stdout: rest, stderr })
        }
        other => {
            let _ = child.kill();
            let status = child.wait();
            Err(format!("the server did not start: {other:?}, {status:?}\n{}", stderr.finish()))
        }
    }
}

/// Whether every thread listed there is stopped, none of them still in a system call.
fn stands_still(tasks: &str) -> bool {
    let threads = std::fs::read_dir(tasks).expect("the process exists");
    threads.flatten().all(|thread| {
        // A thread that ended meanwhile has no status, and stands still too.
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.lines().find(|line| line.starts_with("State:")).is_none_or(|line| line.contains("T (stopped)"))
    })
}

fn bound(line: &str, scheme: &str) -> SocketAddr {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(scheme))
        .and_then(|address| address.trim_end_matches('/').parse().ok())
        .unwrap_or_else(|| panic!("no {scheme} address in the first line: {line}"))
}
