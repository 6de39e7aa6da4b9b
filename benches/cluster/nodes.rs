//! Three processes on loopback addresses, their data on the disk of the build directory, their peers under one authority.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

#[path = "../../tests/cluster/authority.rs"]
mod authority;

pub use authority::Authority;

pub const SIZE: usize = 3;
/// How long a cluster may take to form.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Processes and files of one cluster; both go when it is dropped.
pub struct Nodes {
    children: Vec<Child>,
    folder: tempfile::TempDir,
    subnet: u8,
    authority: Authority,
}

impl Nodes {
    /// `kind` keeps the addresses of two clusters apart.
    pub fn new(kind: u8) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/ can be made");
        let authority = Authority::new(&folder.path().join("authority"));
        let subnet = u8::try_from(std::process::id() % 120).expect("it is below a byte") * 2 + kind;
        Self { children: Vec::new(), folder, subnet, authority }
    }

    pub fn address(&self, node: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, 78, self.subnet, u8::try_from(node + 1).expect("few nodes")))
    }

    pub fn data(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("data{node}"))
    }

    pub fn authority(&self) -> PathBuf {
        self.authority.certificate()
    }

    /// Certificate and key of a node, for peers and clients.
    pub fn pair(&self, node: usize) -> (PathBuf, PathBuf) {
        self.authority.pair(node as u64 + 1, self.address(node))
    }

    /// One connection, as a client of its own would have; both services get the same.
    pub fn http(&self, http2: bool) -> reqwest::Client {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(self.authority()).expect("the certificate is PEM");
        roots.add(authority).expect("the certificate can be trusted");
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = if http2 { vec![b"h2".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        let builder = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(config);
        let builder = if http2 { builder.http2_prior_knowledge() } else { builder.http1_only() };
        builder.build().expect("a client can be built")
    }

    pub fn start(&mut self, program: &Path, arguments: &[String]) {
        let log = self.folder.path().join(format!("log{}", self.children.len()));
        let log = std::fs::File::create(log).expect("a log can be made");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}: run `make tools`", program.display()));
        self.children.push(child);
    }

    /// What the nodes wrote, for a message.
    pub fn told(&self) -> String {
        let logs = (0..self.children.len()).map(|node| self.folder.path().join(format!("log{node}")));
        logs.map(|log| std::fs::read_to_string(log).unwrap_or_default()).collect::<Vec<_>>().join("\n---\n")
    }

    /// Asks again and again until `ask` has an answer.
    pub async fn wait_for<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(Instant::now() < deadline, "{what}:\n{}", self.told());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Both fail only when the process has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
