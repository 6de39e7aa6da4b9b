//! Health, unknown methods, requests that are no gRPC, the drain.

use super::ldlm::take;
use crate::support::client::Client;
use crate::support::grpc::{GrpcClient, refusal, runtime};
use crate::support::spec::Spec;
use latchd::api::grpc::proto::health_check_response::ServingStatus;
use latchd::api::grpc::proto::{HealthCheckRequest, HealthCheckResponse};
use latchd::dialects::ldlm::proto::{LockRequest, LockResponse, TryLockRequest};
use std::time::Duration;
use tonic::Code;

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

#[test]
fn health_needs_no_credential_for_any_service() {
    let server = Spec::in_memory().password("sesame").start();
    for client in [GrpcClient::plain(&server), GrpcClient::tls(&server)] {
        for service in ["", "ldlm.LDLM", "grpc.health.v1.Health"] {
            let answer: HealthCheckResponse =
                client.call("/grpc.health.v1.Health/Check", about(service)).expect("status OK");
            assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
        }
        let unknown = client.call::<_, HealthCheckResponse>("/grpc.health.v1.Health/Check", about("nobody"));
        assert_eq!(refusal(unknown), (Code::NotFound, "unknown service".into()));
    }
}

#[test]
fn health_watch_ends_at_the_drain() {
    // A watch is no idle connection, and a drain does not wait for its client.
    let short = "[server]\nidle_timeout = \"200ms\"\ndrain_timeout = \"10m\"\n";
    let server = Spec::in_memory().configuration(short).start();
    let client = GrpcClient::plain(&server);
    let told = runtime().block_on(async {
        let mut watched =
            client.stream::<_, HealthCheckResponse>("/grpc.health.v1.Health/Watch", about("")).await.expect("a stream");
        let first = watched.message().await.expect("status OK").expect("a message").status();
        tokio::time::sleep(Duration::from_millis(800)).await;
        server.stop();
        let last = watched.message().await.expect("status OK").expect("a message").status();
        (first, last, watched.message().await)
    });
    assert_eq!((told.0, told.1), (ServingStatus::Serving, ServingStatus::NotServing));
    assert_eq!(refusal(told.2), (Code::Unavailable, "the server is shutting down".into()));
}

#[test]
fn health_watch_of_unknown_service_is_unknown() {
    let unknown = Spec::in_memory().start();
    let answer = runtime().block_on(async {
        let client = GrpcClient::plain(&unknown);
        let mut watched = client
            .stream::<_, HealthCheckResponse>("/grpc.health.v1.Health/Watch", about("nobody"))
            .await
            .expect("a stream");
        watched.message().await
    });
    assert_eq!(answer.expect("status OK").expect("a message").status(), ServingStatus::ServiceUnknown);
}

#[test]
fn stop_ends_waiting_calls_with_unavailable() {
    let server = Spec::in_memory().start();
    let client = GrpcClient::plain(&server);
    take(&client, "a").expect("free");
    let waiting = client.clone();
    let request = LockRequest { name: "a".into(), ..LockRequest::default() };
    let waiting = runtime().spawn(async move { waiting.begin::<_, LockResponse>("/ldlm.LDLM/Lock", request).await });
    let mut watcher = Client::plain(&server);
    crate::dialects::dialect_client::until("the wait", || watcher.get("/v1/locks/a").json()["queue_length"] == 1);
    server.stop();
    let answer = runtime().block_on(waiting).expect("no panic");
    assert_eq!(refusal(answer).0, Code::Unavailable);
}

#[test]
fn unknown_method_is_unimplemented() {
    let server = Spec::in_memory().start();
    let client = GrpcClient::plain(&server);
    let ask = |path| refusal(client.call::<_, LockResponse>(path, TryLockRequest::default()));
    let method = "unknown method RenewLock for service ldlm.LDLM";
    assert_eq!(ask("/ldlm.LDLM/RenewLock"), (Code::Unimplemented, method.into()));
    assert_eq!(ask("/no.Such/Thing"), (Code::Unimplemented, "unknown service no.Such".into()));
}

#[test]
fn request_that_is_no_grpc_is_refused() {
    let server = Spec::in_memory().start();
    let mut client = Client::tls(&server);
    let answer = client.send("POST", "/ldlm.LDLM/Lock", b"{}");
    assert_eq!(answer.status, 415);
    assert_eq!(answer.header("grpc-status"), Some("3"));
    let client = GrpcClient::plain(&server);
    let too_large = TryLockRequest { name: "x".repeat(100_000), ..TryLockRequest::default() };
    let (code, words) = refusal(client.call::<_, LockResponse>("/ldlm.LDLM/TryLock", too_large));
    assert_eq!(
        (code, &*words),
        (Code::ResourceExhausted, "the body must be at most 65536 bytes long (server.body_bytes_max)")
    );
}
