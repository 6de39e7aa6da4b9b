//! A client for single requests, which returns each answer as it is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::wire::{Ask, Silence, Wire};
use crate::support::http::Response;

pub const COOKIE: &str = "ldlm-session";
/// Longer than any answer that is not a wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Speaker {
    wire: Wire,
    session: String,
}

/// One acquire.
#[derive(Clone, Copy, Default)]
pub struct Lock<'a> {
    pub name: &'a str,
    pub lease_seconds: Option<f64>,
    pub wait_seconds: Option<f64>,
    pub key: Option<&'a str>,
}

impl<'a> Lock<'a> {
    pub fn named(name: &'a str) -> Self {
        Self { name, ..Self::default() }
    }

    pub fn waiting(self, seconds: f64) -> Self {
        Self { wait_seconds: Some(seconds), ..self }
    }

    pub fn leased(self, seconds: f64) -> Self {
        Self { lease_seconds: Some(seconds), ..self }
    }

    pub fn keyed(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }
}

/// What was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub key: String,
    pub token: u64,
}

impl Speaker {
    /// Opens a session there, as soon as the node can.
    pub fn open(at: SocketAddr) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(answer) = session(at, None)
                && answer.status == 201
            {
                return Self::with_session(at, cookie(&answer));
            }
            assert!(Instant::now() < deadline, "no session can be opened at {at}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Speaks in a session that was opened elsewhere.
    pub fn with_session(at: SocketAddr, session: &str) -> Self {
        Self { wire: Wire::new(at), session: session.to_owned() }
    }

    pub fn session(&self) -> &str {
        &self.session
    }

    /// Whether the node has not asked this client to reconnect.
    pub fn is_connected(&self) -> bool {
        self.wire.is_open()
    }

    pub fn send(&mut self, ask: &Ask<'_>, within: Duration) -> Result<Response, Silence> {
        let cookie = format!("{COOKIE}={}", self.session);
        let mut headers = ask.headers.to_vec();
        headers.push(("Cookie", &cookie));
        let answer = self.wire.send(&Ask { headers: &headers, ..*ask }, within);
        if answer.is_err() {
            self.wire.close();
        }
        answer
    }

    /// The answer to a request that must be answered.
    pub fn ask(&mut self, ask: &Ask<'_>) -> Response {
        self.send(ask, ANSWER_WITHIN).unwrap_or_else(|silence| panic!("{} {}: {silence}", ask.method, ask.target))
    }

    pub fn try_lock(&mut self, lock: Lock<'_>, within: Duration) -> Result<Response, Silence> {
        let mut body = json!({"name": lock.name});
        body["lock_timeout_seconds"] = json!(lock.lease_seconds);
        body["wait_timeout_seconds"] = json!(lock.wait_seconds);
        let body = without_nulls(body);
        let header = lock.key.map(|key| ("Idempotency-Key", key));
        self.send(&Ask { headers: header.as_slice(), ..Ask::post("/v1/lock", &body) }, within)
    }

    pub fn lock(&mut self, lock: Lock<'_>) -> Response {
        let within = ANSWER_WITHIN + Duration::from_secs_f64(lock.wait_seconds.unwrap_or(0.0));
        self.try_lock(lock, within).unwrap_or_else(|silence| panic!("{}: {silence}", lock.name))
    }

    /// A lock that is there to be taken.
    pub fn take(&mut self, lock: Lock<'_>) -> Grant {
        granted(&self.lock(lock)).unwrap_or_else(|told| panic!("{} is not granted: {told}", lock.name))
    }

    pub fn unlock(&mut self, name: &str, key: &str) -> Response {
        self.ask(&Ask::post("/v1/unlock", &json!({"name": name, "key": key})))
    }

    pub fn give_back(&mut self, name: &str, key: &str) {
        let answer = self.unlock(name, key);
        assert_eq!(body(&answer)["unlocked"], true, "{name}: {} {}", answer.status, answer.text());
    }

    /// Who holds a lock, by its token, and how many wait.
    pub fn look(&mut self, name: &str) -> (Option<u64>, u64) {
        let answer = self.ask(&Ask::get(&format!("/v1/locks/{name}")));
        if answer.status == 404 {
            return (None, 0);
        }
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let seen = body(&answer);
        (seen["holders"][0]["fencing_token"].as_u64(), seen["queue_length"].as_u64().expect("a queue has a length"))
    }

    /// Waits until so many wait for a lock.
    pub fn sees_queue_of(&mut self, name: &str, length: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.look(name).1 != length {
            assert!(Instant::now() < deadline, "no {length} wait for {name}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Asks for a session, with an idempotency key or without.
pub fn session(at: SocketAddr, key: Option<&str>) -> Result<Response, Silence> {
    let header = key.map(|key| ("Idempotency-Key", key));
    let ask = Ask { method: "POST", target: "/session", headers: header.as_slice(), body: None };
    Wire::new(at).send(&ask, ANSWER_WITHIN)
}

pub fn cookie(answer: &Response) -> &str {
    answer.cookie(COOKIE).unwrap_or_else(|| panic!("no session in {} {}", answer.status, answer.text()))
}

pub fn body(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

/// The grant that an answer tells of, or the answer.
pub fn granted(answer: &Response) -> Result<Grant, String> {
    let told = body(answer);
    match (told["locked"].as_bool(), told["key"].as_str(), told["fencing_token"].as_u64()) {
        (Some(true), Some(key), Some(token)) => Ok(Grant { key: key.to_owned(), token }),
        _ => Err(format!("{} {}", answer.status, answer.text())),
    }
}

fn without_nulls(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    body
}
