//! Many calls on one connection: as many may wait as a lock may have waiters.

use super::ldlm::{take, unlock};
use crate::support::client::Client;
use crate::support::grpc::{GrpcClient, runtime};
use crate::support::spec::Spec;
use latchd::dialects::ldlm::proto::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use std::collections::HashSet;
use tonic::Status;

const PARKED: usize = 1_000;

#[test]
fn thousand_waiting_calls_share_a_connection_with_unlocks() {
    let server = Spec::in_memory().start();
    let client = GrpcClient::tls(&server);
    let first = take(&client, "narrow").expect("free");
    let request = LockRequest { name: "narrow".into(), ..LockRequest::default() };
    let mut parked: tokio::task::JoinSet<Result<LockResponse, Status>> = tokio::task::JoinSet::new();
    for _ in 0..PARKED {
        let (client, request) = (client.clone(), request.clone());
        parked.spawn_on(async move { client.begin("/ldlm.LDLM/Lock", request).await }, runtime().handle());
    }
    let mut watcher = Client::plain(&server);
    crate::dialects::dialect_client::until("all to wait", || {
        watcher.get("/v1/locks/narrow").json()["queue_length"].as_u64() == Some(PARKED as u64)
    });
    assert!(unlock(&client, "narrow", &first).unlocked);
    let keys = runtime().block_on(async {
        let mut keys = HashSet::new();
        while let Some(granted) = parked.join_next().await {
            let granted = granted.expect("no panic").expect("status OK");
            assert!(granted.locked && keys.insert(granted.key.clone()), "{granted:?}");
            let release = UnlockRequest { name: "narrow".into(), key: granted.key };
            let released: UnlockResponse = client.begin("/ldlm.LDLM/Unlock", release).await.expect("status OK");
            assert!(released.unlocked);
        }
        keys
    });
    assert_eq!(keys.len(), PARKED);
}
