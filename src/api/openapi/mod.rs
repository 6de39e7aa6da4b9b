//! The OpenAPI document: every endpoint of every dialect, with every answer it really gives.
//!
//! Each declaration gathers the descriptions beside its handlers; here they become one document. `tests/pages` compares
//! the committed copy with it, and a fuzzing client holds the running server against it.

mod advice;

use crate::http::endpoint::{Documentation, Endpoint, Schemas, add_schema};
use crate::http::{Code, Problem};
use serde_json::{Value, json};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{OneOf, Schema, SchemaFormat};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, RefOr,
    Required, SecurityRequirement, ServerBuilder, Tag,
};

const ABOUT: &str = "A lock service: sessions, leases, fencing tokens and fair queues. One lock table stands behind \
    ten wire dialects, five of them over HTTP, so a lock that was taken through one of them is held for all. Durations \
    are in seconds and may have fractions. An endpoint that is latchd's own answers errors as RFC 9457 problem documents; \
    an endpoint that speaks the dialect of an older lock server keeps that server's shapes.";

/// The forms in which a request may carry a credential.
const CREDENTIALS: [&str; 3] = ["basic", "bearer", "apiKey"];

/// The document of these descriptions, with `locks.name_bytes_max`.
fn document(documentation: &[&Documentation], name_bytes_max: usize) -> OpenApi {
    let mut documentation = documentation.to_vec();
    documentation.sort_by_key(|described| described.chapter);
    let (mut paths, mut schemas) = (PathsBuilder::new(), Schemas::new());
    add_schema::<Problem>(&mut schemas);
    for described in &documentation {
        for Endpoint { path, method, mut operation, schemas: named } in (described.endpoints)() {
            operation.tags = Some(vec![described.tag.to_owned()]);
            add_credentials(&mut operation);
            operation.request_body.iter_mut().for_each(without_null);
            limit_names_in(&mut operation, name_bytes_max);
            paths = paths.path(path, PathItem::new(method, operation));
            schemas.extend(named);
        }
        (described.schemas)(&mut schemas);
    }
    schemas.iter_mut().for_each(|(_, schema)| limit_names(schema, name_bytes_max));
    let components = ComponentsBuilder::new().schemas_from_iter(schemas);
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("latchd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build();
    let here = ServerBuilder::new().url("/").description(Some("The node that serves this document.")).build();
    let mut document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([here]))
        .paths(paths.build())
        .tags(Some(documentation.iter().copied().map(tag).collect::<Vec<_>>()))
        .components(Some(with_security(components).build()))
        .security(Some(any_credential()))
        .build();
    document.extensions = Some(ExtensionsBuilder::new().add("x-error-codes", error_codes()).build());
    document
}

/// The document as it is served and committed.
pub fn json(documentation: &[&Documentation], name_bytes_max: usize) -> String {
    let document = document(documentation, name_bytes_max);
    document.to_pretty_json().expect("the document is made of strings and numbers") + "\n"
}

fn tag(described: &Documentation) -> Tag {
    TagBuilder::new().name(described.tag).description(Some(described.about)).build()
}

fn with_security(components: ComponentsBuilder) -> ComponentsBuilder {
    let http =
        |scheme, about: &str| SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(about)).build());
    let header = ApiKeyValue::with_description("X-API-Key", "A password or an API key.");
    let cookie = ApiKeyValue::with_description("ldlm-session", "The session that `POST /session` opened.");
    components
        .security_scheme("basic", http(HttpAuthScheme::Basic, "Any user name; a password or an API key as password."))
        .security_scheme("bearer", http(HttpAuthScheme::Bearer, "A password or an API key."))
        .security_scheme("apiKey", SecurityScheme::ApiKey(ApiKey::Header(header)))
        .security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
}

/// The session cookie is needed besides the credential, which a server without configured credentials does not need.
fn add_credentials(operation: &mut Operation) {
    let session = SecurityRequirement::new("session", Vec::<String>::new());
    if let Some(needed) = operation.security.as_mut().filter(|needed| needed.contains(&session)) {
        needed.extend(CREDENTIALS.map(|name| session.clone().add(name, Vec::<String>::new())));
    }
}

/// A body of type `Option` may be left out; `null`, which the macro adds as an alternative, is none.
fn without_null(body: &mut RefOr<RequestBody>) {
    let RefOr::T(body) = body else { return };
    for content in body.content.values_mut() {
        if let RefOr::T(Content { schema: Some(schema), .. }) = content
            && let RefOr::T(Schema::OneOf(OneOf { items, .. })) = schema
            && let Some(shape) = items.iter().find(|item| matches!(item, RefOr::Ref(_))).cloned()
        {
            (*schema, body.required) = (shape, Some(Required::False));
        }
    }
}

/// The format of a lock's name, whose limit is a setting. The document has the limit in place of the format.
const LOCK_NAME: &str = "lock-name";

fn limit_names_in(operation: &mut Operation, bytes_max: usize) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(Parameter { schema: Some(schema), .. }) = parameter {
            limit_names(schema, bytes_max);
        }
    }
}

fn limit_names(schema: &mut RefOr<Schema>, bytes_max: usize) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    if object.format.take_if(|format| *format == SchemaFormat::Custom(LOCK_NAME.to_owned())).is_some() {
        object.max_length = Some(bytes_max);
    }
    object.properties.values_mut().for_each(|property| limit_names(property, bytes_max));
}

/// A server without configured credentials needs none: hence the empty alternative.
fn any_credential() -> Vec<SecurityRequirement> {
    let mut all = vec![SecurityRequirement::default()];
    all.extend(CREDENTIALS.map(|name| SecurityRequirement::new(name, Vec::<String>::new())));
    all
}

/// The one error table, for the page that problem types point at.
fn error_codes() -> Value {
    let entry = |code: Code| {
        let row = code.row();
        json!({
            "code": row.name,
            "status": row.status.as_u16(),
            "retryable": row.retryable,
            "title": row.title,
            "advice": advice::advice(code),
        })
    };
    Code::ALL.iter().copied().map(entry).collect()
}
