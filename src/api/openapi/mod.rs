//! The OpenAPI document: every endpoint of every dialect, with every answer it really gives.
//!
//! Each declaration describes its own endpoints; here they become one document. `tests/pages` compares the committed copy
//! with it, and a fuzzing client holds the running server against it.

mod advice;

use crate::http::code::Code;
use crate::http::endpoint::{Bounds, Documentation, Endpoint};
use crate::http::problem::Problem;
use serde_json::{Value, json};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder,
    SecurityRequirement, ServerBuilder, Tag,
};

const ABOUT: &str = "A lock service: sessions, leases, fencing tokens and fair queues. One lock table stands behind \
    eight wire dialects, four of them over HTTP, so a lock that was taken through one of them is held for all. Durations are in seconds and \
    may have fractions. An endpoint that is latchd's own answers errors as RFC 9457 problem documents; an endpoint \
    that speaks the dialect of an older lock server keeps that server's shapes.";

/// The document of these descriptions.
fn document(documentation: &[&Documentation], bounds: Bounds) -> OpenApi {
    let mut documentation = documentation.to_vec();
    documentation.sort_by_key(|described| described.chapter);
    let mut paths = PathsBuilder::new();
    for Endpoint { path, method, operation } in documentation.iter().flat_map(|described| (described.endpoints)(bounds))
    {
        paths = paths.path(path, PathItem::new(method, operation));
    }
    let components = ComponentsBuilder::new().schema_from::<Problem>();
    let components =
        documentation.iter().fold(components, |components, described| (described.schemas)(components, bounds));
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
pub fn json(documentation: &[&Documentation], bounds: Bounds) -> String {
    let mut text =
        document(documentation, bounds).to_pretty_json().expect("the document is made of strings and numbers");
    text.push('\n');
    text
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

/// A server without configured credentials needs none: hence the empty alternative.
fn any_credential() -> Vec<SecurityRequirement> {
    let mut all = vec![SecurityRequirement::default()];
    all.extend(["basic", "bearer", "apiKey"].map(|name| SecurityRequirement::new(name, Vec::<String>::new())));
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
