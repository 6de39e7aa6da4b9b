//! The load balancers of the guide: Debian's programs, with the files of `deploy/`. Only places and ports are replaced.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::fleet::Fleet;
use crate::support::certificate;
use crate::support::output::Captured;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Haproxy,
}

/// A running balancer before a fleet; ends when dropped.
pub struct Balancer {
    /// HTTPS, each request by itself.
    pub https: SocketAddr,
    /// Connections as they are.
    pub tcp: SocketAddr,
    child: Child,
    output: Captured,
    folder: tempfile::TempDir,
}

impl Balancer {
    pub fn start(kind: Kind, fleet: &Fleet) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let (https, tcp) = (free_port(), free_port());
        write_certificates(folder.path());
        let file = folder.path().join("configuration");
        std::fs::write(&file, configuration(kind, folder.path(), fleet, https, tcp)).expect("written");
        let mut command = command(kind, folder.path(), &file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; run `make tools`"));
        let output = Captured::of(child.stderr.take().expect("stderr is piped"));
        let mut balancer = Self { https, tcp, child, output, folder };
        balancer.wait_until_open();
        balancer
    }

    fn wait_until_open(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while [self.https, self.tcp].iter().any(|address| TcpStream::connect(address).is_err()) {
            let ended = self.child.try_wait().expect("the child can be asked");
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {}", self.told());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it wrote, for a message.
    pub fn told(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default();
        format!("{}{log}", *self.output.text())
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // It ends its workers itself. It may have ended already.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

/// The pair of the tests is that of the nodes and of the balancer.
fn write_certificates(folder: &Path) {
    let pair = certificate::pair();
    let read = |file: &Path| std::fs::read_to_string(file).expect("PEM");
    let (certificate, key) = (read(&pair.certificate), read(&pair.key));
    for (name, text) in [("cert.pem", format!("{certificate}{key}")), ("key.pem", key), ("nodes-ca.pem", certificate)] {
        std::fs::write(folder.join(name), text).expect("written");
    }
}

/// Where `make tools` unpacks Debian's packages.
fn unpacked() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/balancers")
}

fn command(kind: Kind, folder: &Path, file: &Path) -> Command {
    let program = unpacked().join("usr/sbin").join(match kind {
        Kind::Nginx => "nginx",
        Kind::Haproxy => "haproxy",
    });
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", unpacked().join("usr/lib/x86_64-linux-gnu"));
    match kind {
        Kind::Nginx => command.arg("-p").arg(folder).arg("-c").arg(file).args(["-e", "stderr", "-g", "daemon off;"]),
        Kind::Haproxy => command.arg("-db").arg("-f").arg(file),
    };
    command
}

fn configuration(kind: Kind, folder: &Path, fleet: &Fleet, https: SocketAddr, tcp: SocketAddr) -> String {
    let (file, places) = match kind {
        Kind::Nginx => ("deploy/nginx.conf", nginx_places(folder, https, tcp)),
        Kind::Haproxy => ("deploy/haproxy.cfg", haproxy_places(folder, https, tcp)),
    };
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a file of deploy/");
    let nodes = fleet.ids().into_iter().map(|id| (format!("latchd-{id}:8443"), fleet.address(id).to_string()));
    let names = [("latchd.example.org".to_owned(), "localhost".to_owned())];
    places.into_iter().chain(nodes).chain(names).fold(text, |text, (from, to)| {
        assert!(text.contains(&from), "{file} says nothing of {from}");
        text.replace(&from, &to)
    })
}

type Place = (String, String);

fn nginx_places(folder: &Path, https: SocketAddr, tcp: SocketAddr) -> Vec<Place> {
    let module = unpacked().join("usr/lib/nginx/modules/ngx_stream_module.so");
    let folder = folder.display();
    let own =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {folder}/{kind};"));
    [
        // Its workers must be able to enter the folder of the test.
        ("user www-data;", "user root;".to_owned()),
        ("include /etc/nginx/modules-enabled/*.conf;", format!("load_module {};", module.display())),
        ("http {", format!("http {{ {}", own.concat())),
        ("listen 443 ", format!("listen {https} ")),
        ("listen 8444 ", format!("listen {tcp} ")),
        ("/etc/nginx/latchd", folder.to_string()),
        ("/var/log/nginx", folder.to_string()),
        ("/run/nginx.pid", format!("{folder}/nginx.pid")),
    ]
    .map(|(from, to)| (from.to_owned(), to))
    .to_vec()
}

fn haproxy_places(folder: &Path, https: SocketAddr, tcp: SocketAddr) -> Vec<Place> {
    [
        ("log /dev/log local0", "log stderr format raw local0".to_owned()),
        // Two files a connection: tests may have few.
        ("maxconn 20000", "maxconn 1000".to_owned()),
        ("bind :443 ", format!("bind {https} ")),
        ("bind :8444\n", format!("bind {tcp}\n")),
        ("/etc/haproxy/latchd", folder.display().to_string()),
    ]
    .map(|(from, to)| (from.to_owned(), to))
    .to_vec()
}
