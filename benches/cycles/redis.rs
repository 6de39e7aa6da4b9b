//! Redis beside latchd: the lock that its users write themselves, SET NX PX and a script that compares and deletes.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::servers::{API_KEY, Storage, Transport};
use crate::session::NAME_BYTES;
use crate::wire::Wire;

/// Where `make bench` unpacks the package of Debian.
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/redis");

const COMPARE_AND_DELETE: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";

const KEY: &str = "0123456789abcdef0123456789abcdef0123";

/// A running Redis; dropping it ends the process.
pub struct Redis {
    child: Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Redis {
    /// In memory without a log, or with a log that is flushed before each answer. `None` without the package.
    pub async fn start(storage: Storage) -> Option<Redis> {
        let package = PathBuf::from(PACKAGE);
        let data = crate::servers::scratch();
        let address = free_address();
        let append_only = if storage == Storage::Durable { "yes" } else { "no" };
        let child = Command::new(package.join("usr/bin/redis-server"))
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", append_only, "--appendfsync", "always", "--logfile", "/dev/null", "--dir"])
            .arg(data.path())
            .env("LD_LIBRARY_PATH", libraries(&package))
            .stdout(Stdio::null())
            .spawn();
        let redis = Redis { child: child.ok()?, address, _data: data };
        redis.serves().await;
        Some(redis)
    }

    async fn serves(&self) {
        let connected = async {
            while Client::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), connected).await.expect("Redis serves");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The directory for this machine's architecture, such as `usr/lib/x86_64-linux-gnu`.
fn libraries(package: &std::path::Path) -> PathBuf {
    package.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// One connection, with the script loaded.
pub struct Client {
    wire: Wire,
    script: String,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> io::Result<Client> {
        let mut wire = Wire::connect(address, Transport::Plain).await?;
        // A Redis without a password refuses it, and serves.
        exchange(&mut wire, &["AUTH", API_KEY]).await?;
        let loaded = exchange(&mut wire, &["SCRIPT", "LOAD", COMPARE_AND_DELETE]).await?;
        let script = loaded.lines().nth(1).unwrap_or_default().to_owned();
        Ok(Client { wire, script })
    }

    pub async fn cycle(&mut self, name: &[u8; NAME_BYTES]) -> io::Result<()> {
        let name = str::from_utf8(name).map_err(io::Error::other)?;
        expect("+OK\r\n", &exchange(&mut self.wire, &["SET", name, KEY, "NX", "PX", "600000"]).await?)?;
        expect(":1\r\n", &exchange(&mut self.wire, &["EVALSHA", &self.script, "1", name, KEY]).await?)
    }
}

/// Sends one command; returns the whole answer, whose end is the end of a line.
async fn exchange(wire: &mut Wire, words: &[&str]) -> io::Result<String> {
    let mut request = format!("*{}\r\n", words.len());
    words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
    wire.write(request.as_bytes()).await?;
    wire.received().clear();
    loop {
        wire.read_some().await?;
        let received = wire.received();
        let lines = if received.first() == Some(&b'$') { 2 } else { 1 };
        if received.iter().filter(|byte| **byte == b'\n').count() >= lines {
            return String::from_utf8(received.clone()).map_err(io::Error::other);
        }
    }
}

fn expect(wanted: &str, answer: &str) -> io::Result<()> {
    if answer == wanted { Ok(()) } else { Err(io::Error::other(format!("unexpected answer: {answer}"))) }
}
