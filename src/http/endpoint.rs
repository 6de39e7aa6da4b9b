//! Short ways to describe an endpoint for the OpenAPI document.

use super::code::Code;
use super::idempotency::KEY_BYTES_MAX;
use crate::config::Config;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{ComponentsBuilder, Ref, RefOr, Required, Response, ResponseBuilder, SecurityRequirement};

/// The part of the OpenAPI document that a declaration adds.
pub struct Documentation {
    pub chapter: Chapter,
    pub tag: &'static str,
    pub about: &'static str,
    pub endpoints: fn(Bounds) -> Vec<Endpoint>,
    /// Adds the shapes of bodies and answers.
    pub schemas: fn(ComponentsBuilder, Bounds) -> ComponentsBuilder,
}

/// The settings that the document shows.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub name_bytes_max: usize,
}

impl Bounds {
    pub fn of(config: &Config) -> Bounds {
        Bounds { name_bytes_max: config.locks.name_bytes_max }
    }

    /// A lock's name in a body.
    pub fn lock_name(self) -> ObjectBuilder {
        string("UTF-8 without NUL.").max_length(Some(self.name_bytes_max))
    }
}

/// Where a tag stands in the document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chapter {
    /// The dialect that new clients take.
    Native,
    /// Our own API beside it.
    Own,
    Predecessor,
    /// Probes, metrics, documents and pages.
    Service,
}

/// One method of one path.
pub struct Endpoint {
    pub path: &'static str,
    pub method: HttpMethod,
    pub operation: OperationBuilder,
}

pub fn get(path: &'static str, id: &str, tag: &str, summary: &str) -> Endpoint {
    endpoint(HttpMethod::Get, path, id, tag, summary)
}

pub fn post(path: &'static str, id: &str, tag: &str, summary: &str) -> Endpoint {
    endpoint(HttpMethod::Post, path, id, tag, summary)
}

pub fn delete(path: &'static str, id: &str, tag: &str, summary: &str) -> Endpoint {
    endpoint(HttpMethod::Delete, path, id, tag, summary)
}

fn endpoint(method: HttpMethod, path: &'static str, id: &str, tag: &str, summary: &str) -> Endpoint {
    let operation = OperationBuilder::new().operation_id(Some(id)).tag(tag).summary(Some(summary));
    Endpoint { path, method, operation }
}

impl Endpoint {
    fn map(self, change: impl FnOnce(OperationBuilder) -> OperationBuilder) -> Endpoint {
        Endpoint { operation: change(self.operation), ..self }
    }

    pub fn about(self, description: &str) -> Endpoint {
        self.map(|operation| operation.description(Some(description)))
    }

    pub fn parameter(self, parameter: Parameter) -> Endpoint {
        self.map(|operation| operation.parameter(parameter))
    }

    /// A JSON body of this shape, with an example that can be sent as it is.
    pub fn body(self, shape: &str, required: Required, example: Value) -> Endpoint {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(shape))).example(Some(example)).build();
        let body = RequestBodyBuilder::new().required(Some(required)).content("application/json", content).build();
        self.map(|operation| operation.request_body(Some(body)))
    }

    pub fn answer(self, status: u16, response: impl Into<RefOr<Response>>) -> Endpoint {
        self.map(|operation| operation.response(status.to_string(), response))
    }

    /// Errors in the shape of a dialect, with groups of codes of the one table; one answer for each status.
    pub fn errors(self, error: ErrorShape, groups: &[&[Code]]) -> Endpoint {
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in groups.iter().copied().flatten() {
            by_status.entry(code.status().as_u16()).or_default().push(*code);
        }
        by_status.into_iter().fold(self, |endpoint, (status, codes)| endpoint.answer(status, error.response(&codes)))
    }

    /// Needs the session cookie besides the credential.
    pub fn with_session(self) -> Endpoint {
        let scopes = Vec::<String>::new;
        let alone = SecurityRequirement::new("session", scopes());
        let with = |name: &str| SecurityRequirement::new("session", scopes()).add(name, scopes());
        let all = [alone, with("basic"), with("bearer"), with("apiKey")];
        self.map(|operation| operation.securities(Some(all)))
    }

    /// Open to everybody.
    pub fn without_credential(self) -> Endpoint {
        self.map(|operation| operation.securities(Some([SecurityRequirement::default()])))
    }
}

/// How a dialect writes an error.
#[derive(Clone, Copy)]
pub struct ErrorShape {
    pub content_type: &'static str,
    /// `None`: text without a schema, or no body at all.
    pub shape: Option<&'static str>,
}

pub const PROBLEM: ErrorShape = ErrorShape { content_type: "application/problem+json", shape: Some("Problem") };

impl ErrorShape {
    fn response(self, codes: &[Code]) -> Response {
        let named: Vec<String> = codes.iter().map(|code| format!("`{}`", code.row().name)).collect();
        let mut response = ResponseBuilder::new().description(named.join(", "));
        if let Some(shape) = self.shape {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(shape))).build();
            response = response.content(self.content_type, content);
        }
        if codes.iter().any(|code| code.row().retryable && matches!(code.status().as_u16(), 429 | 503)) {
            response = response.header("Retry-After", header("Seconds to wait before asking again."));
        }
        if codes.contains(&Code::CredentialMissing) {
            response = response.header("WWW-Authenticate", header("`Basic realm=\"Restricted\"`"));
        }
        response.build()
    }
}

fn header(about: &str) -> utoipa::openapi::header::Header {
    HeaderBuilder::new().description(Some(about)).build()
}

/// A JSON answer of this shape.
pub fn json(about: &str, shape: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(shape))).build();
    ResponseBuilder::new().description(about).content("application/json", content).build()
}

/// A JSON answer of this shape that renews the session cookie.
pub fn json_with_cookie(about: &str, shape: &str) -> Response {
    with_header(json(about, shape), "Set-Cookie", "`ldlm-session`, with a new expiry.")
}

/// The same answer with one more header.
pub fn with_header(mut response: Response, name: &str, about: &str) -> Response {
    response.headers.insert(name.to_owned(), header(about).into());
    response
}

/// A text answer.
pub fn text(about: &str, content_type: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(string("").build())).build();
    ResponseBuilder::new().description(about).content(content_type, content).build()
}

/// An endless answer of events with JSON of any of these shapes.
pub fn event_stream(about: &str, shapes: &[&str]) -> Response {
    let named: Vec<String> = shapes.iter().map(|shape| format!("`{shape}`")).collect();
    let any = shapes.iter().fold(AnyOfBuilder::new(), |any, shape| any.item(Ref::from_schema_name(*shape))).build();
    let data = string("").content_media_type("application/json").content_schema(Some(Schema::from(any))).build();
    let content = ContentBuilder::new().schema(Some(data)).build();
    let about = format!("{about} The data is JSON: {}.", named.join(", "));
    ResponseBuilder::new().description(about).content("text/event-stream", content).build()
}

/// The header by which a repeated request is recognised.
pub fn idempotency_key() -> Parameter {
    let about = "Anything unique: asked again under the same key, on any node, the request gives the same.";
    let schema = string("").min_length(Some(1)).max_length(Some(KEY_BYTES_MAX)).pattern(Some("^[!-~]+$"));
    request_header("Idempotency-Key", about, schema)
}

/// An answer of bytes without a shape.
pub fn bytes(about: &str) -> Response {
    let content = ContentBuilder::new().build();
    ResponseBuilder::new().description(about).content("application/octet-stream", content).build()
}

pub fn query(name: &str, about: &str, required: bool, schema: impl Into<Schema>) -> Parameter {
    parameter(ParameterIn::Query, name, about, required, schema)
}

pub fn path(name: &str, about: &str, schema: impl Into<Schema>) -> Parameter {
    parameter(ParameterIn::Path, name, about, true, schema)
}

/// A header of the request; never required.
pub fn request_header(name: &str, about: &str, schema: impl Into<Schema>) -> Parameter {
    parameter(ParameterIn::Header, name, about, false, schema)
}

fn parameter(place: ParameterIn, name: &str, about: &str, required: bool, schema: impl Into<Schema>) -> Parameter {
    let required = if required { Required::True } else { Required::False };
    let schema: Schema = schema.into();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

pub fn string(about: &str) -> ObjectBuilder {
    typed(Type::String, about)
}

pub fn integer(about: &str) -> ObjectBuilder {
    typed(Type::Integer, about)
}

pub fn number(about: &str) -> ObjectBuilder {
    typed(Type::Number, about)
}

pub fn boolean(about: &str) -> ObjectBuilder {
    typed(Type::Boolean, about)
}

/// A small map of strings.
pub fn metadata(about: &str) -> ObjectBuilder {
    typed(Type::Object, about).additional_properties(Some(Schema::from(string(""))))
}

pub fn object(about: &str) -> ObjectBuilder {
    typed(Type::Object, about)
}

fn typed(kind: Type, about: &str) -> ObjectBuilder {
    typed_as(SchemaType::new(kind), about)
}

fn typed_as(kind: SchemaType, about: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind).description((!about.is_empty()).then_some(about))
}

/// An object with properties that are always there.
pub fn required<const N: usize>(object: ObjectBuilder, properties: [(&str, ObjectBuilder); N]) -> ObjectBuilder {
    properties.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}

/// The field `request_id`.
pub fn request_id() -> ObjectBuilder {
    string("The same as the header `Idempotency-Key`.").min_length(Some(1)).max_length(Some(KEY_BYTES_MAX))
}
