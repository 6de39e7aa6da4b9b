//! The gRPC half of a dialect_client: one client with a name of its own, for the dialects that know their owners by name.

use super::dialect_client::Protocol;
use crate::support::grpc::GrpcClient;
use crate::support::process::Server;
use latchd::dialects::{
    kufuli::proto as kufuli, ldlm::proto as ldlm, lockd::proto as lockd, raftlock::proto as raftlock,
};
use std::sync::atomic::{AtomicU64, Ordering};

pub struct GrpcDialectClient {
    client: Option<GrpcClient>,
    owner: String,
}

impl GrpcDialectClient {
    pub fn new(server: &Server) -> GrpcDialectClient {
        GrpcDialectClient::of(GrpcClient::tls(server))
    }

    /// Uses this client.
    pub fn of(client: GrpcClient) -> GrpcDialectClient {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let owner = format!("dialect_client-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        GrpcDialectClient { client: Some(client), owner }
    }

    /// For dialects that do not use it.
    pub fn mute() -> GrpcDialectClient {
        GrpcDialectClient { client: None, owner: String::new() }
    }

    pub fn move_to(&mut self, server: &Server) {
        self.client.iter_mut().for_each(|client| client.move_to(server));
    }

    /// The token and the proof, if the lock was free. Only whole seconds of a lease can be asked for, and none of kufuli
    /// and lockd.
    pub fn take(&mut self, protocol: Protocol, name: &str, lease: f64) -> Option<(u64, String)> {
        let seconds = lease.ceil().max(1.0) as i32;
        match protocol {
            Protocol::LdlmGrpc => self.take_ldlm(name, seconds),
            Protocol::Kufuli => {
                let request = kufuli::Request { resource: name.into(), service_id: self.owner.clone() };
                let answer: kufuli::Response = self.client().call("/api.Api/RequestLock", request).expect("status OK");
                answer.success.then_some((answer.fencing_token, String::new()))
            }
            Protocol::LockdGrpc => {
                let request = lockd::LockName { name: name.into() };
                let answer: lockd::LockResult = self.client().call("/lockapi.Locking/Lock", request).expect("OK");
                answer.success.then_some((answer.fencing_token, String::new()))
            }
            Protocol::RaftLock => self.take_raftlock(name, seconds.min(300)),
            _ => panic!("{protocol:?} is no gRPC"),
        }
    }

    fn take_ldlm(&self, name: &str, seconds: i32) -> Option<(u64, String)> {
        let request = ldlm::TryLockRequest { name: name.into(), size: None, lock_timeout_seconds: Some(seconds) };
        let answer: ldlm::LockResponse = self.client().call("/ldlm.LDLM/TryLock", request).expect("status OK");
        // Another size would be an error of its own, as with sessions v1; no test asks for one.
        answer.locked.then_some((answer.fencing_token, answer.key))
    }

    fn take_raftlock(&self, name: &str, seconds: i32) -> Option<(u64, String)> {
        let ttl = prost_types::Duration { seconds: seconds.into(), nanos: 0 };
        let request = raftlock::AcquireRequest {
            lock_id: name.into(),
            client_id: self.owner.clone(),
            ttl: Some(ttl),
            ..raftlock::AcquireRequest::default()
        };
        let answer: raftlock::AcquireResponse =
            self.client().call("/raftlock.RaftLock/Acquire", request).expect("status OK");
        let lock = answer.lock.filter(|_| answer.acquired)?;
        Some((lock.version.unsigned_abs(), lock.version.to_string()))
    }

    pub fn give_back(&mut self, protocol: Protocol, name: &str, proof: &str) -> bool {
        match protocol {
            Protocol::LdlmGrpc => {
                let request = ldlm::UnlockRequest { name: name.into(), key: proof.into() };
                let answer: ldlm::UnlockResponse = self.client().call("/ldlm.LDLM/Unlock", request).expect("status OK");
                answer.unlocked
            }
            Protocol::Kufuli => {
                let request = kufuli::Request { resource: name.into(), service_id: self.owner.clone() };
                let answer: kufuli::Response = self.client().call("/api.Api/ReleaseLock", request).expect("status OK");
                answer.success
            }
            Protocol::LockdGrpc => {
                let request = lockd::LockName { name: name.into() };
                let answer: lockd::LockResult = self.client().call("/lockapi.Locking/Unlock", request).expect("OK");
                answer.success
            }
            Protocol::RaftLock => {
                let request = raftlock::ReleaseRequest {
                    lock_id: name.into(),
                    client_id: self.owner.clone(),
                    version: proof.parse().unwrap_or(1),
                };
                let answer: raftlock::ReleaseResponse =
                    self.client().call("/raftlock.RaftLock/Release", request).expect("status OK");
                answer.released
            }
            _ => panic!("{protocol:?} is no gRPC"),
        }
    }

    fn client(&self) -> &GrpcClient {
        self.client.as_ref().expect("a dialect_client that was made for a server")
    }
}
