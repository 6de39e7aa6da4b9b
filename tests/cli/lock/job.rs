//! A running `latchd lock`, or another subcommand of a client, and its output.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::output::Captured;
use crate::support::process::Server;

/// How long anything may take before the test gives up; the machine may be busy with other tests.
pub const TIMEOUT: Duration = Duration::from_secs(60);
const ATTEMPTS: usize = 5;

/// The binary, with only the URL of the service.
pub fn latchd(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LATCHD_")) {
        command.env_remove(name);
    }
    command.env("LATCHD_URL", url).env("XDG_CONFIG_HOME", "/nonexistent");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn url(server: &Server) -> String {
    format!("http://{}", server.http())
}

/// Runs `latchd lock NAME` with further flags around a shell script.
pub fn lock(server: &Server, name: &str, flags: &[&str], script: &str) -> Command {
    let mut command = latchd(&url(server));
    command.arg("lock").arg(name).args(flags).args(["--", "sh", "-c", script]);
    command
}

/// How a job ended, and its output.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs to the end, and again where a busy machine kept the service from answering in time.
pub fn run(mut command: Command) -> Ended {
    let mut ended = run_once(&mut command);
    for _ in 1..ATTEMPTS {
        if !ended.stderr.contains("no answer in time") {
            break;
        }
        ended = run_once(&mut command);
    }
    ended
}

/// Runs to the end, whatever came in time.
pub fn run_once(command: &mut Command) -> Ended {
    Job::start(command).end()
}

/// A job in the background. Dropping it kills it.
pub struct Job {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Unless the test has another use for it.
    stderr: Option<Captured>,
}

impl Job {
    pub fn start(command: &mut Command) -> Job {
        let mut child = command.spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let stderr = child.stderr.take().map(Captured::of);
        Job { child, stdout, stderr }
    }

    /// The next line on stdout; empty at its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("stdout can be read");
        line.trim_end().to_owned()
    }

    /// The next line as a number, such as a process id.
    pub fn number(&mut self) -> u32 {
        let line = self.line();
        line.parse().unwrap_or_else(|_| panic!("{line:?} is no number; stderr: {}", self.said()))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Closes the stdin of the command.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the job lives");
    }

    pub fn end(mut self) -> Ended {
        let status = self.status();
        let mut stdout = String::new();
        while let Ok(1..) = self.stdout.read_line(&mut stdout) {}
        Ended { code: status.code(), stdout, stderr: self.stderr.as_ref().map(Captured::finish).unwrap_or_default() }
    }

    /// Its stderr so far.
    pub fn said(&self) -> String {
        self.stderr.as_ref().map(|stderr| stderr.text().clone()).unwrap_or_default()
    }

    fn status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("the job can be asked") {
                return status;
            }
            assert!(Instant::now() < deadline, "the job did not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The letter that the kernel has for the state of a process; `None` when there is no such process.
pub fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a process lives; a zombie does not.
pub fn lives(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
