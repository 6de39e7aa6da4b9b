//! A client of one server, and small helpers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::certificate::scratch_directory;
use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::process::Server;

const PATIENCE: Duration = Duration::from_secs(30);
const LEASE_SECONDS: u32 = 36_000;

pub fn home() -> tempfile::TempDir {
    tempfile::tempdir_in(scratch_directory()).expect("a directory under target/ can be made")
}

/// Waits until `is_so`.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One session at one server.
pub struct Caller(pub Client);

impl Caller {
    pub fn open(server: &Server) -> Self {
        let mut client = Client::plain(server);
        let answer = client.send("POST", "/session", b"");
        assert_eq!(answer.status, 201, "{}", answer.text());
        Self(client)
    }

    pub fn post(&mut self, target: &str, body: &Value) -> Response {
        self.0.send("POST", target, body.to_string().as_bytes())
    }

    pub fn ask(&mut self, name: &str, metadata: &Value) -> Response {
        let body = json!({"name": name, "lock_timeout_seconds": LEASE_SECONDS, "metadata": metadata});
        self.post("/v1/lock", &body)
    }

    /// Takes a lock that is free: its key.
    pub fn take(&mut self, name: &str, metadata: &Value) -> String {
        let answer = self.ask(name, metadata);
        assert_eq!(answer.status, 200, "{}", answer.text());
        json_of(&answer)["key"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
    }

    pub fn renew(&mut self, name: &str, key: &str) -> Response {
        self.post("/v1/renew", &json!({"name": name, "key": key, "lock_timeout_seconds": LEASE_SECONDS}))
    }

    pub fn give_back(&mut self, name: &str, key: &str) -> Response {
        self.post("/v1/unlock", &json!({"name": name, "key": key}))
    }

    /// The value of a metric without labels.
    pub fn metric(&mut self, name: &str) -> f64 {
        let shown = self.0.get("/metrics").text();
        let line = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {shown}"))
    }

    pub fn readiness(&mut self) -> (u16, String) {
        let answer = self.0.get("/readyz");
        (answer.status, answer.text().clone())
    }
}

pub fn json_of(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}
