//! Lock by name: lockd's `/lock/{name}`, byte for byte. No owner, no key, no lease: a name is held or it is not.
//!
//! DELETE releases only what lockd's clients took, over HTTP or gRPC, because a name proves nothing about the holds of others. `max_hold` or
//! a force release ends what nobody releases. Bodies and query strings of requests are ignored, as lockd does, but for what looks
//! like a lease or a wait.

use crate::access::Identity;
use crate::domain::{Acquire, Dialect, Name, Proof, Refusal};
use crate::engine::{Engine, Fault};
use crate::http::auth::{caller, identify, may_read, may_take, touch_carried};
use crate::http::clean_path::clean;
use crate::http::code::{Code, FieldNames};
use crate::http::failure::Failure;
use crate::http::handover::carrying;
use crate::http::idempotency::{Scope, request_key};
use crate::http::query::Query;
use crate::http::respond;
use crate::http::service::{Attempt, Shared};
use crate::http::unknown::check_misplaced;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

const NAME_BYTES_MAX: usize = 128;
const NAMES: FieldNames = FieldNames { name: "name", size: "size", lease: "max_hold", wait: "wait" };
/// What a client of another dialect would expect to count here, where a hold has no end of its own.
const FOREIGN: [&str; 10] = [
    "ttl",
    "lease",
    "lifetime",
    "timeout",
    "wait",
    "lock_timeout_seconds",
    "wait_timeout_seconds",
    "metadata",
    "size",
    "request_id",
];
const ELSEWHERE: &str = "a lock by name has no fields and no lease; take the lock with POST /lock or POST /v1/lock";
const FENCING_TOKEN: HeaderName = HeaderName::from_static("fencing-token");
/// What a name may hold stands for itself in a location.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'$').remove(b'-').remove(b'.').remove(b'_').remove(b'+');
const DONE: &str = "{}\n";

/// Everything below `/lock/`. One handler for all of it, because lockd decodes and cleans a path before it looks for a
/// name in it.
pub async fn lock_by_name(State(service): State<Shared>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let path = clean(head.uri.path());
    let Some(name) = path.strip_prefix(b"/lock/") else { return page_not_found() };
    if !matches!(head.method, Method::GET | Method::POST | Method::DELETE) {
        return page_not_found();
    }
    if let Some(bare) = name.strip_suffix(b"/") {
        return if is_one_segment(bare) { redirect(&head, bare) } else { page_not_found() };
    }
    if !is_one_segment(name) {
        return page_not_found();
    }
    let answered = match checked(name) {
        Ok(name) => answer(&service, &head, name).await,
        Err(failure) => Err(failure),
    };
    answered.unwrap_or_else(|failure| fail(&failure))
}

/// Whether lockd's router would find its way to a lock by a path that looks like another one.
pub fn leads_here(path: &str) -> bool {
    clean(path).starts_with(b"/lock/")
}

/// lockd's router finds nothing at empty and split names.
fn is_one_segment(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'/')
}

async fn answer(service: &Shared, head: &Parts, name: &str) -> Attempt<Response> {
    let identity = identify(service, head).await?;
    touch_carried(service, &identity, head).await;
    match head.method {
        Method::POST => lock(service, head, &identity, name).await,
        Method::DELETE => unlock(service, &identity, name).await,
        _ => is_locked(service, &identity, name).await,
    }
}

async fn is_locked(service: &Shared, identity: &Identity, name: &str) -> Attempt<Response> {
    may_read(identity, name)?;
    let (lock, _) = service.engine.lock(&Name::from(name)).await.map_err(|fault| explain(&fault))?;
    if lock.is_some_and(|lock| !lock.holds.is_empty()) { Ok(done()) } else { Ok(not_found()) }
}

async fn lock(service: &Shared, head: &Parts, identity: &Identity, name: &str) -> Attempt<Response> {
    may_take(identity, name)?;
    check_misplaced(Query::of(&head.uri), &FOREIGN, ELSEWHERE, service.settings.unknown)?;
    let request = request_key(head, None, &Scope { identity, session: None }, b"")?;
    let acquire = Acquire {
        lease_ms: service.settings.max_hold_ms,
        idempotency_key: request,
        caller: caller(identity, head),
        ..Acquire::new(Name::from(name), Engine::new_key(), Dialect::LockdRest)
    };
    match service.engine.acquire(acquire).await {
        Ok(hold) => {
            let body = carrying(head, hold.delivery, DONE.into());
            let mut response = respond::with_body(StatusCode::OK, Some(JSON), body);
            response.headers_mut().insert(FENCING_TOKEN, hold.token.0.into());
            Ok(response)
        }
        Err(Fault::Refused(Refusal::Held(_) | Refusal::WaitTimedOut | Refusal::SizeMismatch { .. })) => {
            Ok(json(StatusCode::CONFLICT, "{\"error\":\"Lock conflict\"}\n"))
        }
        Err(fault) => Err(explain(&fault)),
    }
}

async fn unlock(service: &Shared, identity: &Identity, name: &str) -> Attempt<Response> {
    may_take(identity, name)?;
    match release_by_name(&service.engine, name, Dialect::LockdRest).await {
        Ok(true) => Ok(done()),
        Ok(false) => Ok(not_found()),
        Err(fault) => Err(explain(&fault)),
    }
}

/// Releases what lockd's clients took under this name, of the caller's generation first: over HTTP or over gRPC, it is
/// one product. `false`: they hold nothing.
pub(crate) async fn release_by_name(engine: &Engine, name: &str, first: Dialect) -> Result<bool, Fault> {
    let second = if first == Dialect::LockdRest { Dialect::LockdGrpc } else { Dialect::LockdRest };
    for dialect in [first, second] {
        match engine.release(Name::from(name), None, Proof::TakenBy(dialect)).await {
            Ok(_) => return Ok(true),
            Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(false)
}

/// lockd's rules for names, in its order and words.
fn checked(name: &[u8]) -> Attempt<&str> {
    if name.len() > NAME_BYTES_MAX {
        let detail = format!("Name is too long ({} bytes > max of {NAME_BYTES_MAX})", name.len());
        return Err(Failure::limit("name", NAME_BYTES_MAX as u64, detail));
    }
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"$-._".contains(byte);
    match (name.iter().position(|byte| !is_allowed(byte)), std::str::from_utf8(name)) {
        (None, Ok(name)) => Ok(name),
        (offset, _) => {
            let offset = offset.unwrap_or_default();
            let byte = name.get(offset).copied().unwrap_or_default();
            let detail = format!("Name contains non-printable/non-ascii byte {byte} at offset {offset}");
            Err(Failure::field("name", detail))
        }
    }
}

/// Where lockd has words for a fault, its words.
fn explain(fault: &Fault) -> Failure {
    let failure = Failure::from_fault(fault, &NAMES);
    let words = match failure.code {
        Code::NotLeader | Code::NoQuorum => "Not currently in LEADER state",
        Code::ShuttingDown => "ConsensusModule is stopped",
        Code::OutcomeUnknown => "Result Unknown (leadership was lost before commit)",
        _ => return failure,
    };
    Failure { detail: words.into(), ..failure }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

fn json(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    respond::with_body(status, Some(JSON), body)
}

fn done() -> Response {
    json(StatusCode::OK, DONE)
}

fn not_found() -> Response {
    json(StatusCode::NOT_FOUND, "{\"error\":\"Not Found\"}\n")
}

/// What lockd's router says where it has no route, other methods included.
pub fn page_not_found() -> Response {
    let plain = HeaderValue::from_static("text/plain");
    respond::with_body(StatusCode::NOT_FOUND, Some(plain), "404 page not found")
}

/// A slash too many is redirected, for reading by 301 with a page, otherwise by 307, which keeps the method.
fn redirect(head: &Parts, bare: &[u8]) -> Response {
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("/lock/{}{query}", percent_encode(bare, ESCAPED));
    let mut response = if head.method == Method::GET {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        let page = format!("<a href=\"{}\">Moved Permanently</a>.\n\n", escape_html(&location));
        respond::with_body(StatusCode::MOVED_PERMANENTLY, Some(html), page)
    } else {
        respond::with_body(StatusCode::TEMPORARY_REDIRECT, None, Vec::new())
    };
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The location comes from the request and goes into a page.
fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

/// `{"error":"…"}` as Go writes it: HTML's special characters escaped, a newline at the end.
fn fail(failure: &Failure) -> Response {
    let mut text = Vec::new();
    respond::push_string(&mut text, &failure.detail);
    let text = String::from_utf8_lossy(&text);
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let response = json(failure.code.status(), format!("{{\"error\":{text}}}\n"));
    respond::with_failure_headers(response, failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(name: &[u8]) -> String {
        checked(name).expect_err("refused").detail.into_owned()
    }

    #[test]
    fn names_are_refused_in_lockds_words() {
        assert_eq!(words(b"A+B"), "Name contains non-printable/non-ascii byte 43 at offset 1");
        assert_eq!(words(b"hi\n"), "Name contains non-printable/non-ascii byte 10 at offset 2");
        assert_eq!(words("日本語".as_bytes()), "Name contains non-printable/non-ascii byte 230 at offset 0");
        assert_eq!(words(b"\xbd"), "Name contains non-printable/non-ascii byte 189 at offset 0");
        assert_eq!(words(&[b'a'; 129]), "Name is too long (129 bytes > max of 128)");
        assert!(checked(&[b'a'; 128]).is_ok());
        assert!(checked(b"$-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ").is_ok());
    }

    #[test]
    fn only_one_plain_segment_is_a_name() {
        assert!(is_one_segment(b"a"));
        assert!([&b""[..], b"a/b", b"/"].iter().all(|name| !is_one_segment(name)));
    }
}
