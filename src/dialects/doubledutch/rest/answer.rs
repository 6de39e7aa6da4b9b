//! The answers of the GET_LOCK style: each names its server and is never cached.

use crate::http::code::Code;
use crate::http::failure::Failure;
use crate::http::respond;
use crate::http::service::Service;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};

/// Adds what every answer has: `servername` is also the `Server` header, as the old server has it.
pub fn dressed(service: &Service, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::SERVER, service.settings.server_name.clone());
    response
}

/// A JSON answer.
pub fn json(service: &Service, status: StatusCode, body: &impl Serialize) -> Response {
    dressed(service, respond::json(status, respond::to_json(body)))
}

/// The plain answers of the old server's HTTP library: text without a content type.
pub fn text(service: &Service, status: StatusCode, body: &'static str) -> Response {
    dressed(service, respond::with_body(status, None, body))
}

/// A method that the path does not have, or `OPTIONS`, which asks for those it has.
pub fn other_method(service: &Service, is_options: bool, allowed: &'static str) -> Response {
    let response = if is_options {
        text(service, StatusCode::NO_CONTENT, "")
    } else {
        text(service, StatusCode::METHOD_NOT_ALLOWED, "405 Method Not Allowed\r\n")
    };
    respond::with_header(response, header::ALLOW, allowed)
}

/// `{"error": …, "servername": …}`, with the field and the limit where there is one.
pub fn failure(service: &Service, failure: &Failure) -> Response {
    failure_with(service, failure.code.status(), failure, "error", &failure.detail)
}

/// The words that the old server has for credentials that are missing or wrong; they differ from path to path.
#[derive(Clone, Copy)]
pub struct CredentialWords {
    pub key: &'static str,
    pub missing: (StatusCode, &'static str),
    pub wrong: &'static str,
}

/// A caller who is not let in.
pub fn not_let_in(service: &Service, denied: &Failure, words: CredentialWords) -> Response {
    let (status, text) = match denied.code {
        Code::CredentialMissing => words.missing,
        Code::CredentialWrong => (StatusCode::UNAUTHORIZED, words.wrong),
        _ => (denied.code.status(), &*denied.detail),
    };
    let mut response = failure_with(service, status, denied, words.key, text);
    if status != StatusCode::UNAUTHORIZED {
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    response
}

fn failure_with(service: &Service, status: StatusCode, failure: &Failure, key: &str, text: &str) -> Response {
    let mut body = Map::new();
    body.insert(key.to_owned(), text.into());
    body.insert("code".to_owned(), failure.code.row().name.into());
    if let Some(field) = failure.field {
        body.insert("field".to_owned(), field.into());
    }
    if let Some(limit) = failure.limit {
        body.insert("limit".to_owned(), limit.into());
    }
    if let Some(key) = failure.config_key {
        body.insert("config_key".to_owned(), key.into());
    }
    body.insert("servername".to_owned(), server_name(service).into());
    let response = json(service, status, &Value::Object(body));
    respond::with_failure_headers(response, failure)
}

pub fn server_name(service: &Service) -> &str {
    // Checked when the configuration was read; an empty name hurts nobody.
    service.settings.server_name.to_str().unwrap_or_default()
}
