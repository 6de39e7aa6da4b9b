//! Server reflection, so that grpcurl and its like need no `.proto` files. It reveals nothing that the API page does not.
//!
//! Both versions of the service are served by one: their messages are the same on the wire. An unknown
//! name is answered with an error message, as the protocol wants it, and the stream goes on.

use super::{MESSAGE_BYTES_MAX, stream_age, stream_aged};
use crate::access::AddressPool;
use crate::config::Config;
use crate::http::address_limits::take_place;
use crate::http::{AppState, Declaration, GrpcService, Routes};
use axum::extract::Request;
use axum::http::Uri;
use axum::routing::any_service;
use futures_util::{Stream, StreamExt, stream};
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use tonic::{Code, Response, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Asked;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;
use tonic_reflection::pb::v1::server_reflection_server::{ServerReflection, ServerReflectionServer};
use tonic_reflection::pb::v1::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
    ServerReflectionResponse, ServiceResponse,
};
use tonic_reflection::pb::{v1, v1alpha};
use tower::util::MapRequest;

const PATH: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/// Older tools know only this one.
const OLD_PATH: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

pub static DECLARATION: Declaration = Declaration {
    label: "other",
    dialect: None,
    services: &[
        GrpcService { name: "grpc.reflection.v1.ServerReflection", descriptors: v1::FILE_DESCRIPTOR_SET },
        GrpcService { name: "grpc.reflection.v1alpha.ServerReflection", descriptors: v1alpha::FILE_DESCRIPTOR_SET },
    ],
    routes,
    documentation: None,
};

fn routes(app: &AppState, _: &Config) -> Routes {
    let service = ServerReflectionServer::new(Reflection::of(app)).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let old = MapRequest::new(service.clone(), |mut request: Request| {
        *request.uri_mut() = Uri::from_static(PATH);
        request
    });
    Routes::new().route(PATH, any_service(service)).route(OLD_PATH, any_service(old))
}

/// The service, with the descriptors by file and by symbol.
#[derive(Clone)]
struct Reflection {
    files: Arc<HashMap<String, Vec<u8>>>,
    /// The file of each symbol.
    symbols: Arc<HashMap<String, String>>,
    app: AppState,
}

impl Reflection {
    fn of(app: &AppState) -> Reflection {
        let (mut files, mut symbols) = (HashMap::new(), HashMap::new());
        for service in &app.catalog.services {
            let set = FileDescriptorSet::decode(service.descriptors).expect("the compiled-in descriptors are sound");
            for file in set.file {
                let name = file.name().to_owned();
                symbols.extend(symbols_of(&file).into_iter().map(|symbol| (symbol, name.clone())));
                files.insert(name, file.encode_to_vec());
            }
        }
        Reflection { files: Arc::new(files), symbols: Arc::new(symbols), app: AppState::clone(app) }
    }

    fn answer(&self, request: ServerReflectionRequest) -> Result<ServerReflectionResponse, Status> {
        let answer = match &request.message_request {
            None => return Err(Status::invalid_argument("message_request is missing")),
            Some(Asked::FileByFilename(file)) => self.file(file).ok_or_else(|| format!("no file is named {file:?}")),
            Some(Asked::FileContainingSymbol(symbol)) => {
                let file = self.symbols.get(symbol.trim_start_matches('.')).and_then(|file| self.file(file));
                file.ok_or_else(|| format!("no symbol is named {symbol:?}"))
            }
            Some(Asked::FileContainingExtension(asked)) => {
                Err(format!("{:?} has no extension {}", asked.containing_type, asked.extension_number))
            }
            Some(Asked::AllExtensionNumbersOfType(name)) if self.symbols.contains_key(name.trim_start_matches('.')) => {
                Ok(Answer::AllExtensionNumbersResponse(ExtensionNumberResponse {
                    base_type_name: name.clone(),
                    extension_number: Vec::new(),
                }))
            }
            Some(Asked::AllExtensionNumbersOfType(name)) => Err(format!("no type is named {name:?}")),
            Some(Asked::ListServices(_)) => Ok(self.services()),
        };
        let answer = answer.unwrap_or_else(|error_message| {
            Answer::ErrorResponse(ErrorResponse { error_code: Code::NotFound.into(), error_message })
        });
        Ok(ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request),
            message_response: Some(answer),
        })
    }

    fn services(&self) -> Answer {
        let service = self.app.catalog.services.iter().map(|service| ServiceResponse { name: service.name.to_owned() });
        Answer::ListServicesResponse(ListServiceResponse { service: service.collect() })
    }

    fn file(&self, name: &str) -> Option<Answer> {
        let file_descriptor_proto = vec![self.files.get(name)?.clone()];
        Some(Answer::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto }))
    }
}

#[tonic::async_trait]
impl ServerReflection for Reflection {
    type ServerReflectionInfoStream =
        Pin<Box<dyn Stream<Item = Result<ServerReflectionResponse, Status>> + Send + 'static>>;

    async fn server_reflection_info(
        &self,
        request: tonic::Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let place = take_place(request.extensions(), AddressPool::PublicStreams)?;
        let reflection = self.clone();
        let age = Box::pin(stream_age(&self.app, place.as_ref()));
        let answers = request.into_inner().map(move |asked| {
            let _until_the_end = &place;
            asked.and_then(|asked| reflection.answer(asked))
        });
        let answers = stream::unfold(Some((answers, age)), |open| async move {
            let (mut answers, mut age) = open?;
            tokio::select! {
                () = &mut age => Some((Err(stream_aged()), None)),
                next = answers.next() => next.map(|answer| (answer, Some((answers, age)))),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// The full names of all that a file declares.
fn symbols_of(file: &FileDescriptorProto) -> Vec<String> {
    let mut symbols = Vec::new();
    let package = file.package();
    file.message_type.iter().for_each(|message| add_message(&mut symbols, package, message));
    file.enum_type.iter().for_each(|of| add_enum(&mut symbols, package, of));
    file.extension.iter().for_each(|extension| symbols.push(qualified(package, extension.name())));
    for service in &file.service {
        let service_name = qualified(package, service.name());
        symbols.extend(service.method.iter().map(|method| qualified(&service_name, method.name())));
        symbols.push(service_name);
    }
    symbols
}

fn add_message(symbols: &mut Vec<String>, scope: &str, message: &DescriptorProto) {
    let name = qualified(scope, message.name());
    message.nested_type.iter().for_each(|nested| add_message(symbols, &name, nested));
    message.enum_type.iter().for_each(|of| add_enum(symbols, &name, of));
    symbols.extend(message.field.iter().map(|field| qualified(&name, field.name())));
    symbols.extend(message.extension.iter().map(|extension| qualified(&name, extension.name())));
    symbols.extend(message.oneof_decl.iter().map(|oneof| qualified(&name, oneof.name())));
    symbols.push(name);
}

/// A value belongs to the scope of its enum; tools also ask for it below the enum.
fn add_enum(symbols: &mut Vec<String>, scope: &str, of: &EnumDescriptorProto) {
    let name = qualified(scope, of.name());
    symbols.extend(of.value.iter().flat_map(|value| [qualified(scope, value.name()), qualified(&name, value.name())]));
    symbols.push(name);
}

fn qualified(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
