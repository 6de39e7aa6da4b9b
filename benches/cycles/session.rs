//! A client of sessions v1: its requests are templates in which only the name and the key change.

use std::io;
use std::net::SocketAddr;

use crate::servers::{API_KEY, Transport};
use crate::wire::{Wire, find};

/// All measured names have this length, so that a request's length never changes.
pub const NAME_BYTES: usize = 20;
const KEY_BYTES: usize = 36;

/// The lease of measured locks; no measurement lasts as long.
const LEASE_SECONDS: &str = "600";

/// The key of a hold, as its grant gave it.
pub type Key = [u8; KEY_BYTES];

/// One client: a connection, a session and the two requests that it repeats.
pub struct Session {
    wire: Wire,
    cookie: String,
    lock: Template,
    unlock: Template,
}

/// A request whose name (and key) are overwritten in place.
struct Template {
    bytes: Vec<u8>,
    name: usize,
    key: usize,
}

impl Session {
    /// Connects and opens a session.
    pub async fn open(address: SocketAddr, transport: Transport) -> io::Result<Self> {
        let mut wire = Wire::connect(address, transport).await?;
        let request =
            format!("POST /session HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {API_KEY}\r\nContent-Length: 0\r\n\r\n");
        let answer = wire.exchange(request.as_bytes()).await?;
        let head = String::from_utf8_lossy(answer.head).into_owned();
        let cookie = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
            .find_map(|(_, value)| value.trim().split(';').next())
            .ok_or_else(|| io::Error::other(format!("no session: {head}")))?;
        Ok(Self::with_cookie(wire, cookie))
    }

    /// Connects with a cookie that no server issued: the echo sends and receives the same bytes as latchd.
    pub async fn pretend(address: SocketAddr, transport: Transport) -> io::Result<Self> {
        let wire = Wire::connect(address, transport).await?;
        Ok(Self::with_cookie(wire, "ldlm-session=0123456789abcdef0123456789abcdef"))
    }

    fn with_cookie(wire: Wire, cookie: &str) -> Self {
        let lock = format!(r#"{{"name":"{}","lock_timeout_seconds":{LEASE_SECONDS}}}"#, "N".repeat(NAME_BYTES));
        let unlock = format!(r#"{{"name":"{}","key":"{}"}}"#, "N".repeat(NAME_BYTES), "K".repeat(KEY_BYTES));
        Self {
            wire,
            lock: Template::new("/v1/lock", cookie, &lock),
            unlock: Template::new("/v1/unlock", cookie, &unlock),
            cookie: cookie.to_owned(),
        }
    }

    /// Takes a free lock; an error when it is not granted.
    pub async fn lock(&mut self, name: &[u8; NAME_BYTES]) -> io::Result<Key> {
        self.lock.set_name(name);
        granted(&mut self.wire, &self.lock.bytes).await
    }

    /// Gives a lock back; an error when it was not held under this key.
    pub async fn unlock(&mut self, name: &[u8; NAME_BYTES], key: &Key) -> io::Result<()> {
        self.unlock.set_name(name);
        self.unlock.bytes[self.unlock.key..][..KEY_BYTES].copy_from_slice(key);
        let answer = self.wire.exchange(&self.unlock.bytes).await?;
        expect(answer.status, answer.body, br#""unlocked":true"#)
    }

    /// Takes a lock with a request of its own: another lease, or a wait.
    pub async fn lock_with(&mut self, body: &str) -> io::Result<Key> {
        let request = Template::new("/v1/lock", &self.cookie, body);
        granted(&mut self.wire, &request.bytes).await
    }

    /// Gives a hold back with a request of its own: several names.
    pub async fn unlock_with(&mut self, body: &str) -> io::Result<()> {
        let request = Template::new("/v1/unlock", &self.cookie, body);
        let answer = self.wire.exchange(&request.bytes).await?;
        expect(answer.status, answer.body, br#""unlocked":true"#)
    }

    /// Gives a hold another lease.
    pub async fn renew(&mut self, name: &[u8; NAME_BYTES], key: &Key, lease_seconds: f64) -> io::Result<()> {
        let (name, key) = (String::from_utf8_lossy(name), String::from_utf8_lossy(key));
        let body = format!(r#"{{"name":"{name}","key":"{key}","lock_timeout_seconds":{lease_seconds:.3}}}"#);
        let request = Template::new("/v1/renew", &self.cookie, &body);
        granted(&mut self.wire, &request.bytes).await.map(|_| ())
    }
}

impl Template {
    fn new(target: &str, cookie: &str, body: &str) -> Self {
        let bytes = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nX-API-Key: {API_KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes();
        let place = |field: &[u8]| find(&bytes, field).map_or(0, |at| at + field.len());
        Self { name: place(br#""name":""#), key: place(br#""key":""#), bytes }
    }

    fn set_name(&mut self, name: &[u8; NAME_BYTES]) {
        self.bytes[self.name..][..NAME_BYTES].copy_from_slice(name);
    }
}

async fn granted(wire: &mut Wire, request: &[u8]) -> io::Result<Key> {
    let answer = wire.exchange(request).await?;
    expect(answer.status, answer.body, br#""locked":true"#)?;
    let field = br#""key":""#;
    let key = find(answer.body, field).and_then(|at| answer.body[at + field.len()..].first_chunk());
    key.copied().ok_or_else(|| unexpected(answer.status, answer.body))
}

fn expect(status: u16, body: &[u8], what: &[u8]) -> io::Result<()> {
    if status == 200 && find(body, what).is_some() { Ok(()) } else { Err(unexpected(status, body)) }
}

fn unexpected(status: u16, body: &[u8]) -> io::Error {
    io::Error::other(format!("unexpected answer {status}: {}", String::from_utf8_lossy(body)))
}

/// Names that never meet: a prefix per purpose, a running number or a random one.
pub fn name(prefix: &str, number: u64) -> [u8; NAME_BYTES] {
    let text = format!("{prefix:-<4}{number:016x}");
    *text.as_bytes().first_chunk().expect("a prefix has at most 4 letters")
}

/// A stream of different numbers, each client with its own (the finalizer of splitmix64 over a counter).
pub struct Numbers(u64);

impl Numbers {
    pub fn of_client(client: u64) -> Self {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).expect("the system has random numbers");
        Self(u64::from_ne_bytes(seed).wrapping_add(client))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
