//! The bodies of sessions v1, written by hand: LDLM's fields in its order, then ours.

use crate::dialects::ldlm::error::LockError;
use crate::domain::{HoldKey, Name, SessionId, Token};
use crate::engine::Fault;
use crate::http::deadlock::BlockedBy;
use crate::http::frozen::Frozen;
use crate::http::respond::{self, push_number, push_seconds, push_string};
use crate::http::{Code, Failure, FieldNames, key};
use axum::response::Response;
use std::time::Duration;

pub const NAMES: FieldNames =
    FieldNames { name: "name", size: "size", lease: "lock_timeout_seconds", wait: "wait_timeout_seconds" };

/// A fault of the engine with the field names of this dialect.
pub fn from_fault(fault: &Fault) -> Failure {
    Failure::from_fault(fault, &NAMES)
}

/// A hold, new or renewed.
pub fn locked(name: &str, names: &[Name], key: HoldKey, token: Token, expires_in: Option<Duration>) -> Vec<u8> {
    let body = start("{\"locked\":true,\"name\":", name);
    held(body, names, key, token, expires_in)
}

/// A hold that another session has now.
pub fn transferred(name: &str, key: HoldKey, token: Token, expires_in: Option<Duration>) -> Vec<u8> {
    held(start("{\"transferred\":true,\"name\":", name), &[], key, token, expires_in)
}

fn held(mut body: Vec<u8>, names: &[Name], key: HoldKey, token: Token, expires_in: Option<Duration>) -> Vec<u8> {
    push_names(&mut body, names);
    body.extend_from_slice(b",\"key\":\"");
    body.extend_from_slice(key::dashed_in(key, &mut [0; 36]).as_bytes());
    body.extend_from_slice(b"\",\"fencing_token\":");
    push_number(&mut body, token.0);
    body.extend_from_slice(b",\"expires_in_seconds\":");
    push_seconds(&mut body, expires_in);
    body.push(b'}');
    body
}

/// No hold: plain contention has no error. The key is text that LDLM fills with a useless one.
pub fn not_locked(name: &str, key: &str, error: Option<LockError>) -> Vec<u8> {
    let mut body = start("{\"locked\":false,\"name\":", name);
    body.extend_from_slice(b",\"key\":");
    push_string(&mut body, key);
    finish(body, error)
}

/// No hold, because the name is frozen. For older clients it is held, or the wait has timed out.
pub fn frozen(name: &str, key: &str, frozen: &Frozen, waited: bool) -> Vec<u8> {
    let mut body = start("{\"locked\":false,\"name\":", name);
    body.extend_from_slice(b",\"key\":");
    push_string(&mut body, key);
    if waited {
        body.extend_from_slice(b",\"error\":{\"code\":\"LockWaitTimeout\",\"message\":");
        push_string(&mut body, &frozen.text());
        body.push(b'}');
    }
    body.extend_from_slice(b",\"frozen\":");
    body.append(&mut respond::to_json(frozen));
    body.push(b'}');
    body
}

/// No hold, because the wait would have closed a cycle.
pub fn would_deadlock(name: &str, key: &str, cycle: &[BlockedBy]) -> Vec<u8> {
    let mut body = start("{\"locked\":false,\"name\":", name);
    body.extend_from_slice(b",\"key\":");
    push_string(&mut body, key);
    body.extend_from_slice(b",\"error\":{\"code\":\"WouldDeadlock\",\"message\":");
    push_string(&mut body, Code::WouldDeadlock.row().title);
    body.extend_from_slice(b"},\"cycle\":");
    body.append(&mut respond::to_json(&cycle));
    body.push(b'}');
    body
}

pub fn unlocked(name: &str, names: &[Name]) -> Vec<u8> {
    let mut body = start("{\"unlocked\":true,\"name\":", name);
    push_names(&mut body, names);
    finish(body, None)
}

pub fn not_unlocked(name: &str, error: LockError) -> Vec<u8> {
    finish(start("{\"unlocked\":false,\"name\":", name), Some(error))
}

/// The answer to `POST /session`, with LDLM's space after the colon.
pub fn session(session: Option<(SessionId, Duration)>) -> Vec<u8> {
    let Some((session, idle_timeout)) = session else {
        return br#"{"session_id": ""}"#.to_vec();
    };
    let mut body = format!("{{\"session_id\": \"{session}\", \"idle_timeout_seconds\": ").into_bytes();
    push_seconds(&mut body, Some(idle_timeout));
    body.push(b'}');
    body
}

fn start(opening: &str, name: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(160 + name.len());
    body.extend_from_slice(opening.as_bytes());
    push_string(&mut body, name);
    body
}

/// The names of a hold of several.
fn push_names(body: &mut Vec<u8>, names: &[Name]) {
    if names.is_empty() {
        return;
    }
    for (at, name) in names.iter().enumerate() {
        body.extend_from_slice(if at == 0 { b",\"names\":[" } else { b"," });
        push_string(body, name);
    }
    body.push(b']');
}

fn finish(mut body: Vec<u8>, error: Option<LockError>) -> Vec<u8> {
    if let Some(error) = error {
        body.extend_from_slice(b",\"error\":{\"code\":\"");
        body.extend_from_slice(error.code.as_str_name().as_bytes());
        body.extend_from_slice(b"\",\"message\":");
        push_string(&mut body, &error.message);
        error.limit.iter().for_each(|failure| push_limit(&mut body, failure));
        body.push(b'}');
    }
    body.push(b'}');
    body
}

/// The limit that was exceeded, in fields of ours after LDLM's.
fn push_limit(body: &mut Vec<u8>, failure: &Failure) {
    for (name, text) in [(",\"field\":", failure.field), (",\"config_key\":", failure.config_key)] {
        if let Some(text) = text {
            body.extend_from_slice(name.as_bytes());
            push_string(body, text);
        }
    }
    if let Some(limit) = failure.limit {
        body.extend_from_slice(b",\"limit\":");
        push_number(body, limit);
    }
}

/// LDLM's errors about the session of a request.
#[derive(Clone, Copy)]
pub enum SessionError {
    CookieMissing,
    CookieInvalid,
    /// The session to close is not there.
    NotFound,
}

impl SessionError {
    pub fn response(self) -> Response {
        let (code, body) = match self {
            SessionError::CookieMissing => {
                (Code::SessionUnknown, r#"{"error": "session cookie not found. create a new session at /session"}"#)
            }
            SessionError::CookieInvalid => (
                Code::SessionUnknown,
                r#"{"error": "session cookie invalid or expired. create a new session at /session"}"#,
            ),
            // LDLM's own status: its clients know 401 as a reason to open another session.
            SessionError::NotFound => (Code::NoSuchSession, r#"{"error": "session not found"}"#),
        };
        respond::json(code.status(), body.into())
    }
}

/// An error of the gateway that LDLM speaks through: a gRPC code, a message, no details. Then fields of ours, unless it is one
/// that LDLM itself answers.
pub fn failure(failure: &Failure) -> Response {
    let status = failure.code.status();
    let response = match failure.code {
        // LDLM sends no body here.
        Code::CredentialMissing | Code::CredentialWrong => respond::with_body(status, None, Vec::new()),
        _ => {
            let mut body = b"{\"code\":".to_vec();
            push_number(&mut body, grpc_code(failure.code));
            body.extend_from_slice(b",\"message\":");
            push_string(&mut body, &failure.detail);
            body.extend_from_slice(b",\"details\":[]");
            if !matches!(failure.code, Code::NotFound | Code::MethodNotAllowed | Code::MalformedBody) {
                body.extend_from_slice(b",\"reason\":");
                push_string(&mut body, failure.code.row().name);
                push_limit(&mut body, failure);
            }
            body.push(b'}');
            respond::json(status, body)
        }
    };
    respond::with_failure_headers(response, failure)
}

/// The gRPC code that the gateway would have shown with this HTTP status.
fn grpc_code(code: Code) -> u64 {
    match code {
        Code::NotFound => 5,
        Code::MethodNotAllowed => 12,
        _ => match code.status().as_u16() {
            401 => 16,
            403 => 7,
            404 => 5,
            408 => 4,
            409 => 10,
            429 => 8,
            500 => 13,
            503 => 14,
            _ => 3,
        },
    }
}
