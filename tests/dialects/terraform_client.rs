//! What the `http` backend of Terraform and OpenTofu sends, how it reads the answers, and a server that keeps its state.

use crate::support::client::{Client, Wire};
use crate::support::http::Response;
use crate::support::process::Server;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The settings of a backend: its addresses and methods.
#[derive(Clone, Copy)]
pub struct Backend {
    pub lock: (&'static str, &'static str),
    pub unlock: (&'static str, &'static str),
}

/// As Terraform has it by default.
pub const BACKEND: Backend = Backend { lock: ("LOCK", "/terraform/net"), unlock: ("UNLOCK", "/terraform/net") };

/// Terraform's waits between its requests, in a thousandth of the time.
const RETRY_WAIT: Duration = Duration::from_millis(1);
const RETRY_MAX: usize = 2;

/// Why there is no lock.
#[derive(PartialEq, Debug)]
pub enum LockError {
    /// With its LockInfo: `-lock-timeout` has it try again.
    Held(Value),
    Other(u16),
}

/// One run of a command.
pub struct Terraform {
    backend: Backend,
    client: Client,
    pub info: Value,
}

impl Terraform {
    pub fn new(server: &Server, backend: Backend) -> Terraform {
        Terraform::of(Client::tls(server), backend)
    }

    pub fn of(client: Client, backend: Backend) -> Terraform {
        let info = json!({
            "ID": uuid::Uuid::new_v4().to_string(),
            "Operation": "OperationTypeApply",
            "Info": "",
            "Who": "ann@build-7",
            "Version": "1.14.0",
            "Created": "2026-11-27T18:13:15.123456789Z",
            "Path": "",
        });
        Terraform { backend, client, info }
    }

    pub fn lock(&mut self) -> Result<(), LockError> {
        let (method, target) = self.backend.lock;
        let answer = self.send(method, target, self.info.to_string().as_bytes());
        match answer.status {
            200 => Ok(()),
            409 | 423 => Err(LockError::Held(answer.json()).checked()),
            other => Err(LockError::Other(other)),
        }
    }

    /// As under `-lock-timeout`; calls back after each refusal.
    pub fn lock_within(&mut self, tries: usize, mut refused: impl FnMut()) -> Result<(), LockError> {
        for _ in 1..tries {
            match self.lock() {
                Err(LockError::Held(_)) => refused(),
                answered => return answered,
            }
            std::thread::sleep(RETRY_WAIT);
        }
        self.lock()
    }

    /// The status of an UNLOCK with this body; only 200 is success.
    pub fn unlock_with(&mut self, body: &str) -> Response {
        let (method, target) = self.backend.unlock;
        self.send(method, target, body.as_bytes())
    }

    pub fn unlock(&mut self) -> bool {
        self.unlock_with(&self.info.to_string()).status == 200
    }

    /// Repeated where there is no answer, or 429, or 5xx.
    fn send(&mut self, method: &str, target: &str, body: &[u8]) -> Response {
        let digest = BASE64_STANDARD.encode(Md5::digest(body));
        for _ in 0..RETRY_MAX {
            match self.client.try_send_with(method, target, &[("Content-MD5", &digest)], body) {
                Ok(answer) if answer.status != 429 && answer.status < 500 => return answer,
                _ => std::thread::sleep(RETRY_WAIT),
            }
        }
        self.client.try_send_with(method, target, &[("Content-MD5", &digest)], body).expect("an answer")
    }
}

impl LockError {
    /// Terraform gives up where the body is no LockInfo, whose time it can read, or has no id.
    fn checked(self) -> LockError {
        let LockError::Held(info) = &self else { return self };
        assert!(info["ID"].as_str().is_some_and(|id| !id.is_empty()), "{info}");
        assert!(humantime::parse_rfc3339(info["Created"].as_str().expect("a text")).is_ok(), "{info}");
        let keys: Vec<&String> = info.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["Created", "ID", "Info", "Operation", "Path", "Version", "Who"], "{info}");
        self
    }
}

/// Keeps one state, and what it was asked.
pub struct StateServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl StateServer {
    pub fn start() -> StateServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (address, asked) = (listener.local_addr().expect("an address"), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&asked);
        // It ends with the tests.
        std::thread::spawn(move || {
            let mut state = None;
            for stream in listener.incoming() {
                answer(stream.expect("a connection"), &mut state, &log);
            }
        });
        StateServer { address, asked }
    }

    pub fn send(&self, method: &str, target: &str, body: &str) -> Response {
        Client::at(self.address, Wire::Plain).send(method, target, body.as_bytes())
    }

    /// Methods and targets in their order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn answer(stream: TcpStream, state: &mut Option<Vec<u8>>, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).expect("a request");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        if line.trim().is_empty() {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().expect("a number");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let asked = first.rsplit_once(' ').expect("a request line").0.to_owned();
    let content = match asked.starts_with("GET ") {
        true => state.clone(),
        false => {
            *state = Some(body);
            Some(Vec::new())
        }
    };
    log.lock().expect("no panic").push(asked);
    let status = if content.is_some() { "200 OK" } else { "404 Not Found" };
    let content = content.unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", content.len());
    let mut stream = reader.into_inner();
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&content)).expect("it is read");
}
