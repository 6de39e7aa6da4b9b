//! Streams that need no credential: how many one address has, and how long they last.

use std::time::Duration;

use latchd::api::grpc::proto::{HealthCheckRequest, HealthCheckResponse};
use tonic::{Code, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Ask;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::support::grpc::{GrpcClient, refusal, runtime};
use crate::support::process::Server;
use crate::support::spec::Spec;

const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

fn server(settings: &str) -> Server {
    Spec::in_memory().password("sesame").configuration(format!("[server]\n{settings}\n")).start()
}

async fn watch(client: &GrpcClient) -> Result<Streaming<HealthCheckResponse>, Status> {
    client.stream(WATCH, HealthCheckRequest::default()).await
}

/// A stream of questions that goes on.
async fn reflect(client: &GrpcClient, path: &'static str) -> Result<Streaming<ServerReflectionResponse>, Status> {
    let asked =
        ServerReflectionRequest { host: String::new(), message_request: Some(Ask::ListServices(String::new())) };
    client.talk_on(path, vec![asked]).await
}

async fn end<A>(stream: &mut Streaming<A>) -> Status {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended with OK"),
            Err(status) => return status,
        }
    }
}

#[test]
fn old_public_streams_end_when_half_are_taken() {
    let server = server("public_streams_max = 2\npublic_stream_age_max = \"300ms\"");
    let client = GrpcClient::plain(&server);
    runtime().block_on(async {
        let mut watched = watch(&client).await.expect("a stream");
        let status = end(&mut watched).await;
        assert!(status.code() == Code::Unavailable && status.message().contains("server.public_stream_age_max"));
        for path in REFLECTION {
            let status = end(&mut reflect(&client, path).await.expect("a stream")).await;
            assert!(status.code() == Code::Unavailable && status.message().contains("server.public_stream_age_max"));
        }
    });
}

#[test]
fn old_public_streams_go_on_below_half() {
    let server = server("public_streams_max = 9\npublic_stream_age_max = \"100ms\"");
    let client = GrpcClient::plain(&server);
    runtime().block_on(async {
        let mut watched = watch(&client).await.expect("a stream");
        let mut reflected = reflect(&client, REFLECTION[0]).await.expect("a stream");
        let ends = async { tokio::join!(end(&mut watched), end(&mut reflected)) };
        assert!(tokio::time::timeout(Duration::from_secs(1), ends).await.is_err(), "ten times their age");
    });
}

#[test]
fn trusted_proxy_is_exempt_from_the_stream_share() {
    let settings = "[server]\npublic_streams_max = 4\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let server = Spec::in_memory().password("sesame").configuration(settings).start();
    let client = GrpcClient::plain(&server);
    runtime().block_on(async {
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(watch(&client).await.expect("a stream"));
        }
        assert!(watch(&client).await.is_err(), "there are no more of them");
    });
}

#[test]
fn one_address_has_a_share_of_the_streams_and_gets_it_back() {
    let server = server("public_streams_max = 12");
    let client = GrpcClient::plain(&server);
    let (first, mut second, third) = runtime().block_on(async {
        let mut first = watch(&client).await.expect("a stream");
        first.message().await.expect("told").expect("serving");
        let second = reflect(&client, REFLECTION[0]).await.expect("a stream");
        (first, second, reflect(&client, REFLECTION[1]).await.expect("a stream"))
    });
    for refused in [
        refusal(runtime().block_on(watch(&client)).map(drop)),
        refusal(runtime().block_on(reflect(&client, REFLECTION[0])).map(drop)),
    ] {
        assert_eq!(refused.0, Code::ResourceExhausted);
        assert!(refused.1.contains("server.public_streams_max"), "{}", refused.1);
    }
    assert!(runtime().block_on(second.message()).is_ok(), "those who have one go on");
    drop((first, third));
    crate::dialects::dialect_client::until("a place to be free", || runtime().block_on(watch(&client)).is_ok());
}

#[test]
fn long_messages_of_callers_without_a_credential_are_refused() {
    let server = server("");
    let client = GrpcClient::plain(&server);
    let asked = HealthCheckRequest { service: "s".repeat(5_000) };
    let answer: Result<HealthCheckResponse, Status> = client.call("/grpc.health.v1.Health/Check", asked);
    assert_eq!(refusal(answer).0, Code::ResourceExhausted);
}
