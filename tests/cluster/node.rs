//! One node: a process, its place in the network, its data directory, and what it writes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::binary::latchd;
use super::disk::SmallDisk;
use super::network::Network;
use crate::support::certificate;
use crate::support::output::Captured;

const HTTPS_PORT: u16 = 8443;
pub const PEER_PORT: u16 = 9443;
/// How long a process may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Node {
    pub id: u64,
    pub data: PathBuf,
    /// Milliseconds that each flush of the log is delayed by are read from here while it runs.
    pub flush_delay: PathBuf,
    /// Under the data directory, where a test fills it.
    pub disk: Option<SmallDisk>,
    address: SocketAddr,
    /// After `latchd serve`, the storage, the listener and its certificate.
    pub arguments: Vec<String>,
    /// What is started instead of the program under test.
    pub program: Option<PathBuf>,
    running: Option<Running>,
    /// What the processes before the present one wrote.
    past: Vec<Captured>,
}

struct Running {
    child: Child,
    stderr: Captured,
}

impl Node {
    /// Not started yet.
    pub fn new(id: u64, folder: &Path, network: &Network, arguments: Vec<String>) -> Self {
        let home = folder.join(format!("node{id}"));
        std::fs::create_dir_all(&home).expect("a folder for the node can be made");
        let address = SocketAddr::new(network.address(id), HTTPS_PORT);
        let (data, flush_delay) = (home.join("data"), home.join("flush-delay"));
        Self { id, data, flush_delay, disk: None, address, arguments, program: None, running: None, past: Vec::new() }
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| running.child.try_wait().is_ok_and(|ended| ended.is_none()))
    }

    /// Starts the process, with a planted bug if one is named.
    pub fn start(&mut self, network: &Network, mutant: Option<&str>) {
        assert!(!self.is_running(), "node {} runs already", self.id);
        self.reap();
        let mut command = network.command(self.id, self.program.as_deref().unwrap_or_else(|| latchd()));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LATCHD_") {
                command.env_remove(name);
            }
        }
        if let Some(mutant) = mutant {
            command.env("MUTANT", mutant);
        }
        let pair = certificate::pair();
        command.arg("serve").arg("--data-dir").arg(&self.data);
        command.arg("--listen").arg(format!("https://{}", self.address));
        command.arg("--tls-cert").arg(&pair.certificate).arg("--tls-key").arg(&pair.key);
        command.args(&self.arguments).env("MUTANT_FLUSH_DELAY", &self.flush_delay);
        command.current_dir(self.data.parent().expect("it lies in the node's folder"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = Captured::of(child.stderr.take().expect("stderr is piped"));
        self.running = Some(Running { child, stderr });
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(running) = &self.running {
            // An ended child that nobody waited for still owns its id, so this cannot hit a stranger.
            let pid = Pid::from_child(&running.child);
            kill_process(pid, signal).unwrap_or_else(|error| panic!("{signal:?} to node {}: {error}", self.id));
        }
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while self.is_running() {
            assert!(Instant::now() < deadline, "node {} did not end within {PATIENCE:?}:\n{}", self.id, self.stderr());
            std::thread::sleep(Duration::from_millis(2));
        }
        self.reap()
    }

    /// Removes all that the node has kept; it must not run.
    pub fn wipe(&mut self) {
        assert!(!self.is_running(), "node {} runs", self.id);
        for entry in std::fs::read_dir(&self.data).expect("the data directory can be read").flatten() {
            let path = entry.path();
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }

    /// What all its processes wrote so far.
    pub fn stderr(&self) -> String {
        let running = self.running.as_ref().map(|running| running.stderr.text().clone());
        let past = self.past.iter().map(|captured| captured.text().clone());
        past.chain(running).collect::<Vec<_>>().join("--- started again ---\n")
    }

    fn reap(&mut self) -> Option<ExitStatus> {
        let mut running = self.running.take()?;
        let status = running.child.wait().expect("the child can be waited for");
        self.past.push(running.stderr);
        Some(status)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            // Both fail only if the process has ended already.
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}
