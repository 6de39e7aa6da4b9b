//! The servers under load, each a process of its own: latchd by the tests' harness, the echo by this binary.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::support::certificate;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// The credential that every measured request carries.
pub const API_KEY: &str = "bench-0123456789abcdef0123456789abcdef";

/// Plaintext or TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Plain,
    Tls,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plaintext",
            Self::Tls => "TLS",
        }
    }
}

/// Where the server keeps its locks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    Memory,
    Durable,
}

impl Storage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "in memory",
            Self::Durable => "durable",
        }
    }
}

/// A running latchd and, when it is durable, the directory that it writes.
pub struct Latchd {
    pub server: Server,
    pub data: Option<tempfile::TempDir>,
}

impl Latchd {
    /// Starts a server with a credential. Durable data lies on the file system of the build directory.
    pub fn start(storage: Storage) -> Self {
        let data = match storage {
            Storage::Memory => None,
            Storage::Durable => Some(scratch()),
        };
        let spec = match &data {
            None => Spec::in_memory(),
            Some(directory) => Spec::durable(directory.path()),
        };
        // A million locks are one caller's here.
        let server = spec
            .redis()
            .api_key(API_KEY)
            .argument("--log-level")
            .argument("warn")
            .environment("LATCHD_LOCKS_TABLE_BYTES_MAX", "4GiB")
            .environment("LATCHD_LOCKS_FREEZES_MAX", 10_000)
            .environment("LATCHD_QUOTAS_CREDENTIAL_PERCENT", 100)
            .environment("LATCHD_QUOTAS_ADDRESS_PERCENT", 100)
            .start();
        Self { server, data }
    }

    pub fn address(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Plain => self.server.http(),
            Transport::Tls => self.server.https(),
        }
    }

    /// Resident memory in bytes, as the kernel counts it.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel counts it");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kibibytes * 1024
    }
}

/// A directory on a real disk: /tmp may be memory.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/ can be made")
}

/// The running echo; dropping it ends the process.
pub struct Echo {
    child: Child,
    https: SocketAddr,
    http: SocketAddr,
}

impl Echo {
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("this binary has a path");
        let pair = certificate::pair();
        let mut command = Command::new(program);
        command.arg("echo").args([&pair.certificate, &pair.key]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this binary starts again");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the echo names its addresses");
        let address = |scheme: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(scheme));
            found.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {scheme} in {line:?}"))
        };
        Self { https: address("https://"), http: address("http://"), child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Plain => self.http,
            Transport::Tls => self.https,
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
