//! The state of the GET_LOCK style, and its answers: each names its server and is never cached.

use crate::config::Config;
use crate::domain::time::round_up_ms;
use crate::http::{AppState, Code, Failure, FieldNames, respond};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};

pub const NAMES: FieldNames = FieldNames { name: "lockname", size: "size", lease: "lifetime", wait: "timeout" };

#[derive(Clone)]
pub struct GetLock {
    pub app: AppState,
    /// `servername` in every answer, and the `Server` header.
    pub server_name: HeaderValue,
    /// The lease of a hold that names no lifetime.
    pub default_lifetime_ms: u64,
    /// Whether `/releaselock` takes a fitting token instead of a credential.
    pub release_without_credential: bool,
}

impl GetLock {
    pub fn new(app: &AppState, config: &Config) -> GetLock {
        GetLock {
            app: AppState::clone(app),
            server_name: header_value(&config.server.name),
            default_lifetime_ms: round_up_ms(config.locks.get_lock_lifetime),
            release_without_credential: config.compat.release_without_credential,
        }
    }

    pub fn server_name(&self) -> &str {
        self.server_name.to_str().unwrap_or_default()
    }
}

/// A header has no room for line breaks and the like.
fn header_value(name: &str) -> HeaderValue {
    let printable: String = name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    HeaderValue::from_str(printable.trim()).unwrap_or(HeaderValue::from_static("latchd"))
}

/// Adds the headers of every answer; `servername` is also the `Server` header, as with DoubleDutch.
pub fn with_common_headers(state: &GetLock, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::SERVER, state.server_name.clone());
    response
}

pub fn json(state: &GetLock, status: StatusCode, body: &impl Serialize) -> Response {
    with_common_headers(state, respond::json(status, respond::to_json(body)))
}

/// The plain answers of the old server's HTTP library: text without a content type.
pub fn text(state: &GetLock, status: StatusCode, body: &'static str) -> Response {
    with_common_headers(state, respond::with_body(status, None, body))
}

/// Answers the methods that are `allowed`. `OPTIONS`, the first of them, asks which those are; HEAD of a path that does not
/// name it must not take a lock.
pub async fn answer(
    state: &GetLock,
    request: Request,
    allowed: &'static str,
    attempt: impl AsyncFnOnce(&GetLock, &Parts) -> Result<Response, Failure>,
) -> Response {
    let (head, _) = request.into_parts();
    let response = match head.method.as_str() {
        "OPTIONS" => text(state, StatusCode::NO_CONTENT, ""),
        method if allowed.split(", ").any(|known| known == method) => {
            let failed =
                |failure: Failure| failure_with(state, failure.code.status(), &failure, "error", &failure.detail);
            return attempt(state, &head).await.unwrap_or_else(failed);
        }
        _ => text(state, StatusCode::METHOD_NOT_ALLOWED, "405 Method Not Allowed\r\n"),
    };
    respond::with_header(response, header::ALLOW, allowed)
}

/// DoubleDutch's messages for missing and wrong credentials, which differ from path to path.
#[derive(Clone, Copy)]
pub struct CredentialMessages {
    pub key: &'static str,
    pub missing: (StatusCode, &'static str),
    pub wrong: &'static str,
}

pub fn unauthorized(state: &GetLock, denied: &Failure, words: CredentialMessages) -> Response {
    let (status, text) = match denied.code {
        Code::CredentialMissing => words.missing,
        Code::CredentialWrong => (StatusCode::UNAUTHORIZED, words.wrong),
        _ => (denied.code.status(), &*denied.detail),
    };
    let mut response = failure_with(state, status, denied, words.key, text);
    if status != StatusCode::UNAUTHORIZED {
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    response
}

/// `{"error": …, "servername": …}`, with the field and the limit where there is one.
fn failure_with(state: &GetLock, status: StatusCode, failure: &Failure, key: &str, text: &str) -> Response {
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
    body.insert("servername".to_owned(), state.server_name().into());
    let response = json(state, status, &Value::Object(body));
    respond::with_failure_headers(response, failure)
}
