//! One client in one dialect, with the few calls that the crash tests make.

use std::io;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::process::Server;

/// The admin credential of every server under test here.
pub const API_KEY: &str = "proof-key-0123456789abcdef";

/// Longer than any run: what ends a hold here is a release or a bug.
const LEASE_SECONDS: u32 = 36_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sessions,
    GetLock,
}

/// A hold as its grant described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub key: String,
    pub token: u64,
}

/// Why a call has no result.
pub enum Trouble {
    /// No answer came: the outcome is unknown.
    Silence(io::Error),
    /// An answer came that should not have.
    Wrong(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silence(error) => write!(f, "no answer ({error})"),
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

pub struct Caller {
    dialect: Dialect,
    client: Client,
}

impl Caller {
    /// Connects, with a session where the dialect has one.
    pub fn new(server: &Server, dialect: Dialect) -> Self {
        let mut client = Client::plain(server).with_header("X-API-Key", API_KEY);
        if dialect == Dialect::Sessions {
            let answer = client.send("POST", "/session", b"");
            assert_eq!(answer.status, 201, "a session can be opened: {}", answer.text());
        }
        Self { dialect, client }
    }

    /// Goes on with the same session against another process.
    pub fn move_to(&mut self, server: &Server) {
        self.client.move_to(server);
    }

    /// Asks for a lock, waiting so many milliseconds; `None` when it is held.
    pub fn lock(&mut self, name: &str, wait_ms: u32) -> Result<Option<Hold>, Trouble> {
        let wait = f64::from(wait_ms) / 1000.0;
        let (answer, locked, key) = match self.dialect {
            Dialect::Sessions => {
                let mut body = json!({"name": name, "lock_timeout_seconds": LEASE_SECONDS});
                if wait_ms > 0 {
                    body["wait_timeout_seconds"] = json!(wait);
                }
                (self.post("/v1/lock", &body)?, "locked", "key")
            }
            Dialect::GetLock => {
                let target = format!("/getlock?lockname={name}&auth={API_KEY}&lifetime={LEASE_SECONDS}&timeout={wait}");
                (self.send("GET", &target, b"")?, "lockacquired", "sessiontoken")
            }
        };
        let body = expect(&answer, 200)?;
        match (body[locked].as_bool(), body[key].as_str(), body["fencing_token"].as_u64()) {
            (Some(true), Some(key), Some(token)) => Ok(Some(Hold { key: key.to_owned(), token })),
            (Some(false), ..) if is_plain_refusal(&body) => Ok(None),
            _ => Err(wrong(&answer)),
        }
    }

    /// Gives a lock back; `false` when this key holds it no more.
    pub fn unlock(&mut self, name: &str, key: &str) -> Result<bool, Trouble> {
        match self.dialect {
            Dialect::Sessions => {
                let answer = self.post("/v1/unlock", &json!({"name": name, "key": key}))?;
                expect(&answer, 200)?["unlocked"].as_bool().ok_or_else(|| wrong(&answer))
            }
            Dialect::GetLock => {
                let target = format!("/releaselock?lockname={name}&token={key}&auth={API_KEY}");
                let answer = self.send("DELETE", &target, b"")?;
                let status = if answer.status == 400 { 400 } else { 200 };
                expect(&answer, status)?["lockreleased"].as_bool().ok_or_else(|| wrong(&answer))
            }
        }
    }

    /// Renews a hold; `None` where the dialect cannot.
    pub fn renew(&mut self, name: &str, key: &str) -> Result<Option<bool>, Trouble> {
        if self.dialect == Dialect::GetLock {
            return Ok(None);
        }
        let body = json!({"name": name, "key": key, "lock_timeout_seconds": LEASE_SECONDS});
        let answer = self.post("/v1/renew", &body)?;
        expect(&answer, 200)?["locked"].as_bool().map(Some).ok_or_else(|| wrong(&answer))
    }

    /// Who holds a lock now, and how many wait for it, as the admin's view tells.
    pub fn inspect(&mut self, name: &str) -> Result<(Vec<Hold>, u64), Trouble> {
        let answer = self.send("GET", &format!("/v1/locks/{name}"), b"")?;
        if answer.status == 404 {
            return Ok((Vec::new(), 0));
        }
        let body = expect(&answer, 200)?;
        let holds = body["holders"].as_array().ok_or_else(|| wrong(&answer))?;
        let holds = holds
            .iter()
            .map(|hold| Some(Hold { key: hold["key"].as_str()?.to_owned(), token: hold["fencing_token"].as_u64()? }))
            .collect::<Option<Vec<_>>>();
        let waiters = body["queue_length"].as_u64();
        holds.zip(waiters).ok_or_else(|| wrong(&answer))
    }

    fn post(&mut self, target: &str, body: &Value) -> Result<Response, Trouble> {
        self.send("POST", target, body.to_string().as_bytes())
    }

    fn send(&mut self, method: &str, target: &str, body: &[u8]) -> Result<Response, Trouble> {
        self.client.try_send(method, target, body).map_err(Trouble::Silence)
    }
}

/// Contention, or a wait that ran out: anything else with `locked: false` is a surprise here.
fn is_plain_refusal(body: &Value) -> bool {
    let code = &body["error"]["code"];
    // Each worker holds one of two locks while it waits for the other.
    code.is_null() || code == "LockWaitTimeout" || code == "WouldDeadlock"
}

fn expect(answer: &Response, status: u16) -> Result<Value, Trouble> {
    if answer.status != status {
        return Err(wrong(answer));
    }
    serde_json::from_slice(&answer.body).map_err(|_| wrong(answer))
}

fn wrong(answer: &Response) -> Trouble {
    Trouble::Wrong(format!("unexpected answer {} {}", answer.status, answer.text()))
}
