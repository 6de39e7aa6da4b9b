//! A place where scripts start nodes that go on when the script has ended.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// For whatever takes a few elections on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A directory in which scripts leave nodes running. They all have an address of their own on the loopback network, so
/// that the ports of the README are free. Whatever runs there ends with it.
pub struct Machine {
    pub home: tempfile::TempDir,
    pub address: String,
}

impl Machine {
    pub fn new(number: u8) -> Self {
        let [.., high, low] = std::process::id().to_be_bytes();
        let home = tempfile::tempdir().expect("a directory");
        Self { home, address: format!("127.{number}.{high}.{}", low.clamp(1, 254)) }
    }

    /// Runs a script to its end, and fails unless it succeeds.
    pub fn run(&self, script: &str) -> String {
        let text = script.replace("127.0.0.1", &self.address);
        let file = self.home.path().join("shown");
        let shown = File::create(&file).expect("a file");
        let mut command = self.command("timeout");
        // Not a pipe: the nodes keep it open.
        command.args(["--kill-after=5", "120", "bash", "-euo", "pipefail", "-c", &text]);
        command.stdout(shown.try_clone().expect("a handle")).stderr(shown);
        let status = command.status().expect("timeout and bash are there");
        let shown = std::fs::read_to_string(&file).expect("UTF-8");
        assert!(status.success(), "{status}: {shown}\n{}", self.logs());
        shown
    }

    fn command(&self, program: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_latchd")).parent().expect("a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LATCHD_")) {
            command.env_remove(name);
        }
        command.env("PATH", format!("{}:{path}", binary.display())).env("HOME", self.home.path());
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    pub fn logs(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.home.path().join(name)).unwrap_or_default();
        ["alone.log", "node1.log", "node2.log", "node3.log"].map(|name| format!("=== {name}\n{}", read(name))).concat()
    }

    /// The processes that run here and have this word in their command line.
    pub fn processes(&self, word: &str) -> Vec<u32> {
        let is_here =
            |process: &PathBuf| std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == self.home.path());
        let says = |process: &PathBuf| {
            std::fs::read(process.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
        };
        let all = std::fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
        let id = |process: PathBuf| process.file_name()?.to_str()?.parse().ok();
        all.filter(|process| is_here(process) && says(process)).filter_map(id).collect()
    }

    /// Sends a signal to each of them.
    pub fn signal(&self, word: &str, signal: Signal) {
        for process in self.processes(word) {
            let process = i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process");
            // It may have ended by itself.
            let _ = kill_process(process, signal);
        }
    }

    /// `kill -9`, and waits until they are gone.
    pub fn kill(&self, word: &str) {
        self.signal(word, Signal::KILL);
        let deadline = Instant::now() + PATIENCE;
        while !self.processes(word).is_empty() {
            assert!(Instant::now() < deadline, "{word} still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill("latchd");
    }
}
