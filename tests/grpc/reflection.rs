//! Server reflection, as grpcurl and similar tools use it.

use crate::support::grpc::{GrpcClient, refusal, runtime};
use crate::support::spec::Spec;
use prost::Message;
use prost_types::FileDescriptorProto;
use std::collections::BTreeSet;
use tonic::Code;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Ask;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Told;
use tonic_reflection::pb::v1::{ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse};

const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The answers to these questions on one stream.
fn ask(client: &GrpcClient, path: &'static str, questions: Vec<Ask>) -> Vec<Told> {
    let asked = questions
        .into_iter()
        .map(|question| ServerReflectionRequest { host: "here".to_owned(), message_request: Some(question) });
    let asked: Vec<_> = asked.collect();
    runtime().block_on(async {
        let mut stream = client.talk::<_, ServerReflectionResponse>(path, asked.clone()).await.expect("a stream");
        let mut told = Vec::new();
        while let Some(answer) = stream.message().await.expect("status OK") {
            assert_eq!((&*answer.valid_host, answer.original_request.as_ref()), ("here", asked.get(told.len())));
            told.push(answer.message_response.expect("an answer"));
        }
        told
    })
}

fn error(told: &Told) -> (i32, &str) {
    match told {
        Told::ErrorResponse(error) => (error.error_code, &error.error_message),
        other => panic!("no error: {other:?}"),
    }
}

fn file(told: &Told) -> FileDescriptorProto {
    let Told::FileDescriptorResponse(files) = told else { panic!("no file: {told:?}") };
    FileDescriptorProto::decode(&*files.file_descriptor_proto[0]).expect("a descriptor")
}

#[test]
fn unknown_name_is_an_error_and_the_stream_goes_on() {
    let server = Spec::in_memory().password("sesame").start();
    let client = GrpcClient::plain(&server);
    for path in PATHS {
        let extension = ExtensionRequest { containing_type: "ldlm.LockRequest".into(), extension_number: 7 };
        let told = ask(
            &client,
            path,
            vec![
                Ask::FileContainingSymbol("no.Such".into()),
                Ask::FileByFilename("no_such.proto".into()),
                Ask::FileContainingExtension(extension),
                Ask::AllExtensionNumbersOfType("no.Such".into()),
                Ask::FileContainingSymbol(String::new()),
                Ask::FileContainingSymbol("ldlm.LDLM".into()),
            ],
        );
        assert_eq!(told.len(), 6, "{path}: {told:?}");
        for (at, words) in ["no.Such", "no_such.proto", "extension 7", "no.Such", "\"\""].into_iter().enumerate() {
            let (code, message) = error(&told[at]);
            assert_eq!(code, Code::NotFound as i32);
            assert!(message.contains(words), "{message}");
        }
        assert_eq!(file(&told[5]).name(), "ldlm.proto");
    }
}

#[test]
fn services_are_listed_with_readable_files() {
    let server = Spec::in_memory().start();
    let client = GrpcClient::tls(&server);
    let listed = ask(&client, PATHS[0], vec![Ask::ListServices(String::new())]);
    assert_eq!(listed, ask(&client, PATHS[1], vec![Ask::ListServices(String::new())]));
    let Told::ListServicesResponse(list) = &listed[0] else { panic!("{listed:?}") };
    let names: BTreeSet<&str> = list.service.iter().map(|service| &*service.name).collect();
    for name in ["ldlm.LDLM", "raftlock.RaftLock", "grpc.health.v1.Health"] {
        assert!(names.contains(name), "{names:?}");
    }
    assert!(names.contains("grpc.reflection.v1.ServerReflection"), "it lists itself: {names:?}");
    assert!(names.contains("grpc.reflection.v1alpha.ServerReflection"), "{names:?}");
    for name in names {
        let told = ask(&client, PATHS[0], vec![Ask::FileContainingSymbol(name.into())]);
        let mut wanted = file(&told[0]).dependency;
        while let Some(next) = wanted.pop() {
            wanted.extend(file(&ask(&client, PATHS[0], vec![Ask::FileByFilename(next)])[0]).dependency);
        }
    }
}

#[test]
fn methods_messages_fields_and_enum_values_are_symbols() {
    let server = Spec::in_memory().start();
    let client = GrpcClient::plain(&server);
    let symbols = [
        "raftlock.RaftLock.Acquire",
        "raftlock.AcquireRequest",
        ".raftlock.AcquireRequest",
        "raftlock.AcquireRequest.lock_id",
        "raftlock.HealthStatus.ServingStatus",
        "raftlock.HealthStatus.SERVING",
        "raftlock.LOCK_HELD",
        "google.protobuf.Timestamp",
    ];
    let told = ask(&client, PATHS[0], symbols.map(|symbol| Ask::FileContainingSymbol(symbol.into())).to_vec());
    let files: Vec<String> = told.iter().map(|told| file(told).name().to_owned()).collect();
    assert_eq!(files[..7], ["raftlock.proto"; 7].map(str::to_owned));
    assert_eq!(files[7], "google/protobuf/timestamp.proto");
    let types = ask(&client, PATHS[0], vec![Ask::AllExtensionNumbersOfType("raftlock.Lock".into())]);
    assert!(matches!(&types[0], Told::AllExtensionNumbersResponse(known) if known.base_type_name == "raftlock.Lock"));
}

#[test]
fn empty_request_ends_the_stream() {
    let server = Spec::in_memory().start();
    let client = GrpcClient::plain(&server);
    let ended = runtime().block_on(async {
        let asked = vec![ServerReflectionRequest::default()];
        let mut stream = client.talk::<_, ServerReflectionResponse>(PATHS[0], asked).await.expect("a stream");
        stream.message().await
    });
    assert_eq!(refusal(ended).0, Code::InvalidArgument);
    let other = "/grpc.reflection.v1.ServerReflection/Other";
    let words = "unknown method Other for service grpc.reflection.v1.ServerReflection";
    let answer = client.call::<_, ServerReflectionResponse>(other, ServerReflectionRequest::default());
    assert_eq!(refusal(answer), (Code::Unimplemented, words.into()));
}
