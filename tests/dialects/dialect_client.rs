//! One client per dialect behind the few verbs that all dialects have, so that one scenario runs through all ten.

use super::grpc_dialect_client::GrpcDialectClient;
use crate::support::client::{Client, Wire};
use crate::support::grpc::GrpcClient;
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::redis::{RELEASE, RedisClient, Reply};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    SessionsV1,
    GetLock,
    LockUnlock,
    LockByName,
    Terraform,
    LdlmGrpc,
    Kufuli,
    LockdGrpc,
    RaftLock,
    Redis,
}

impl Protocol {
    pub const ALL: [Protocol; 10] = [
        Protocol::SessionsV1,
        Protocol::GetLock,
        Protocol::LockUnlock,
        Protocol::LockByName,
        Protocol::Terraform,
        Protocol::LdlmGrpc,
        Protocol::Kufuli,
        Protocol::LockdGrpc,
        Protocol::RaftLock,
        Protocol::Redis,
    ];
    /// Those over HTTP and gRPC, on one port.
    pub const ON_HTTP: [Protocol; 9] = [
        Protocol::SessionsV1,
        Protocol::GetLock,
        Protocol::LockUnlock,
        Protocol::LockByName,
        Protocol::Terraform,
        Protocol::LdlmGrpc,
        Protocol::Kufuli,
        Protocol::LockdGrpc,
        Protocol::RaftLock,
    ];
    /// The dialects over HTTP.
    pub const HTTP: [Protocol; 5] =
        [Protocol::SessionsV1, Protocol::GetLock, Protocol::LockUnlock, Protocol::LockByName, Protocol::Terraform];
    /// Of those, the last two try once.
    pub const WAITING: [Protocol; 3] = [Protocol::SessionsV1, Protocol::GetLock, Protocol::LockUnlock];
}

/// A client of one dialect that remembers the proofs of its holds.
pub struct DialectClient {
    pub protocol: Protocol,
    pub client: Client,
    grpc: GrpcDialectClient,
    redis: Option<RedisClient>,
    proofs: HashMap<String, String>,
}

/// A hold as it was answered.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Hold {
    pub token: u64,
    pub expires_in: Option<f64>,
}

impl DialectClient {
    pub fn new(protocol: Protocol, server: &Server) -> DialectClient {
        let redis = (protocol == Protocol::Redis).then(|| RedisClient::new(server));
        DialectClient {
            grpc: GrpcDialectClient::new(server),
            redis,
            ..DialectClient::of(protocol, Client::tls(server))
        }
    }

    /// A client of this HTTPS address with this API key.
    pub fn at(protocol: Protocol, address: SocketAddr, api_key: &str) -> DialectClient {
        let client = Client::at(address, Wire::Tls).with_header("X-API-Key", api_key);
        let grpc = GrpcClient::at(address, Wire::Tls).with_metadata("x-api-key", api_key);
        DialectClient { grpc: GrpcDialectClient::of(grpc), ..DialectClient::of(protocol, client) }
    }

    /// Uses this HTTP client; opens a session if the dialect needs one.
    pub fn of(protocol: Protocol, mut client: Client) -> DialectClient {
        if protocol == Protocol::SessionsV1 {
            assert_eq!(client.send("POST", "/session", b"").status, 201);
        }
        DialectClient { protocol, client, grpc: GrpcDialectClient::mute(), redis: None, proofs: HashMap::new() }
    }

    /// Goes on against a restarted server.
    pub fn move_to(&mut self, server: &Server) {
        self.client.move_to(server);
        self.grpc.move_to(server);
        self.redis = self.redis.take().map(|_| RedisClient::new(server));
    }

    /// Tries once, with a lease that outlasts any test.
    pub fn take(&mut self, name: &str) -> Option<Hold> {
        self.ask(name, 600.0, None)
    }

    /// Tries once. Lock by name and Terraform have no lease and ignore it.
    pub fn take_for(&mut self, name: &str, lease_seconds: f64) -> Option<Hold> {
        self.ask(name, lease_seconds, None)
    }

    /// Waits in the queue.
    pub fn wait(&mut self, name: &str, wait_seconds: f64) -> Option<Hold> {
        self.ask(name, 600.0, Some(wait_seconds))
    }

    fn ask(&mut self, name: &str, lease: f64, wait: Option<f64>) -> Option<Hold> {
        if self.protocol == Protocol::Redis {
            return self.set(name, lease);
        }
        if !Protocol::HTTP.contains(&self.protocol) {
            assert_eq!(wait, None, "the gRPC dialects' waits have tests of their own");
            let (token, proof) = self.grpc.take(self.protocol, name, lease)?;
            self.proofs.insert(name.to_owned(), proof);
            return Some(Hold { token, expires_in: None });
        }
        let (method, target, body) = request(self.protocol, name, lease, wait);
        let response = self.client.send(method, &target, body.as_bytes());
        if self.protocol == Protocol::Terraform && response.status == 200 {
            self.proofs.insert(name.to_owned(), body);
        }
        self.understand(name, &response)
    }

    /// SET NX with a value that nobody has used, and the token of that hold.
    fn set(&mut self, name: &str, lease: f64) -> Option<Hold> {
        let redis = self.redis.as_mut().expect("a connection");
        let value = format!("{:032x}", rand_value());
        let lease_ms = format!("{}", (lease * 1000.0) as u64);
        match redis.ask(&["SET", name, &value, "NX", "PX", &lease_ms]) {
            Reply::Nil => return None,
            answer => assert_eq!(answer, Reply::Status("OK".to_owned())),
        }
        let Reply::Integer(token) = redis.ask(&["LATCHD.TOKEN", name, &value]) else { panic!("no token") };
        self.proofs.insert(name.to_owned(), value);
        Some(Hold { token: token as u64, expires_in: None })
    }

    fn understand(&mut self, name: &str, response: &Response) -> Option<Hold> {
        let (taken, proof, expiry) = match self.protocol {
            Protocol::SessionsV1 => ("locked", "key", "expires_in_seconds"),
            Protocol::GetLock => ("lockacquired", "sessiontoken", "expires_in"),
            Protocol::LockUnlock => ("", "lock_id", "expires_in_seconds"),
            Protocol::LockByName => return by_name(response, 409),
            Protocol::Terraform => return by_name(response, 423),
            Protocol::LdlmGrpc | Protocol::Kufuli | Protocol::LockdGrpc | Protocol::RaftLock | Protocol::Redis => {
                unreachable!("asked above")
            }
        };
        let answer = response.json();
        if self.protocol == Protocol::LockUnlock && response.status == 409 {
            return None;
        }
        assert_eq!(response.status, 200, "{answer}");
        if self.protocol != Protocol::LockUnlock && answer[taken] == false {
            return None;
        }
        let proof = answer[proof].as_str().unwrap_or_else(|| panic!("no proof in {answer}"));
        self.proofs.insert(name.to_owned(), proof.to_owned());
        let token = answer["fencing_token"].as_u64().unwrap_or_else(|| panic!("no token in {answer}"));
        Some(Hold { token, expires_in: answer[expiry].as_f64() })
    }

    /// Releases its last hold of this name; whether the server released it.
    pub fn give_back(&mut self, name: &str) -> bool {
        let proof = self.proofs.get(name).cloned().unwrap_or_default();
        match self.protocol {
            Protocol::SessionsV1 => {
                self.client.post("/v1/unlock", &json!({"name": name, "key": proof})).json()["unlocked"] == true
            }
            Protocol::GetLock => {
                let answer = self.client.delete(&format!("/releaselock?lockname={name}&token={proof}"));
                answer.json()["lockreleased"] == true
            }
            Protocol::LockUnlock => self.client.post("/unlock", &json!({"lock_id": proof})).status == 200,
            Protocol::LockByName => self.client.delete(&format!("/lock/{name}")).status == 200,
            Protocol::Terraform => {
                let body = if proof.is_empty() { lock_info() } else { proof };
                self.client.send("UNLOCK", &format!("/terraform/{name}"), body.as_bytes()).status == 200
            }
            Protocol::LdlmGrpc | Protocol::Kufuli | Protocol::LockdGrpc | Protocol::RaftLock => {
                self.grpc.give_back(self.protocol, name, &proof)
            }
            Protocol::Redis => {
                let redis = self.redis.as_mut().expect("a connection");
                redis.ask(&["EVAL", RELEASE, "1", name, &proof]) == Reply::Integer(1)
            }
        }
    }
}

/// The request that takes a lock: method, target, body.
pub fn request(protocol: Protocol, name: &str, lease: f64, wait: Option<f64>) -> (&'static str, String, String) {
    match protocol {
        Protocol::SessionsV1 => {
            let mut body = json!({"name": name, "lock_timeout_seconds": lease});
            if let Some(wait) = wait {
                body["wait_timeout_seconds"] = wait.into();
            }
            ("POST", "/v1/lock".to_owned(), body.to_string())
        }
        Protocol::GetLock => {
            let timeout = wait.unwrap_or(0.0);
            let target = format!("/getlock?lockname={name}&lifetime={lease}&timeout={timeout}");
            ("GET", target, String::new())
        }
        Protocol::LockUnlock => {
            let body = json!({"resource": name, "ttl": lease, "wait": wait});
            ("POST", "/lock".to_owned(), body.to_string())
        }
        Protocol::LockByName => ("POST", format!("/lock/{name}"), String::new()),
        Protocol::Terraform => ("LOCK", format!("/terraform/{name}"), lock_info()),
        Protocol::LdlmGrpc | Protocol::Kufuli | Protocol::LockdGrpc | Protocol::RaftLock | Protocol::Redis => {
            panic!("{protocol:?} is no HTTP")
        }
    }
}

/// What Terraform says of an operation, each with an id of its own.
pub fn lock_info() -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let rest = r#""Operation":"OperationTypeApply","Info":"","Who":"ann@build-7","Version":"1.14.0""#;
    format!(r#"{{"ID":"{id}",{rest},"Created":"2026-11-27T18:13:15.123456789Z","Path":""}}"#)
}

fn rand_value() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

fn by_name(response: &Response, held: u16) -> Option<Hold> {
    match response.status {
        200 => {
            let token = response.header("fencing-token").expect("a fencing token");
            Some(Hold { token: token.parse().expect("a number"), expires_in: None })
        }
        status if status == held => None,
        other => panic!("{other}: {}", response.text()),
    }
}

/// The holder that a refused `/lock` describes; `None` if the lock is free.
pub fn in_the_way(server: &Server, name: &str) -> Option<Value> {
    let mut client = Client::tls(server);
    let answer = client.post("/lock", &json!({"resource": name}));
    if answer.status == 200 {
        client.post("/unlock", &json!({"lock_id": answer.json()["lock_id"]}));
        return None;
    }
    Some(answer.json()["holder"].clone())
}

/// Returns when so many wait for the lock.
pub fn until_waiting(server: &Server, name: &str, count: u64) {
    let what = format!("{count} waiters for {name}");
    until(&what, || in_the_way(server, name).is_some_and(|holder| holder["queue_length"] == count));
}

/// Asks until the answer is yes.
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
    }
}
