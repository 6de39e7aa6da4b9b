//! Lock by name: lockd's `/lock/{name}`, byte for byte. No owner, no key, no lease: a name is held or it is not.
//!
//! DELETE releases only holds of lockd's clients, over HTTP or gRPC, because a name proves nothing about the holds of others.
//! `max_hold` or a forced release ends abandoned holds. Bodies and query strings are ignored, as lockd does,
//! except for parameters that look like a lease or a wait.

use super::{Lockd, NAMES, release_by_name};
use crate::access::Identity;
use crate::domain::{Acquire, Dialect, Name};
use crate::engine::{Engine, Fault};
use crate::http::auth::{caller, identify_and_touch, may_read, may_take};
use crate::http::delivery::body_of_grant;
use crate::http::endpoint::{
    CREDENTIAL, Chapter, Documentation, ErrorShape, IdempotencyHeader, KEYED, NEW_HOLD, WRITE, add_schema, errors,
};
use crate::http::idempotency::{Scope, request_key};
use crate::http::unknown_fields::check_misplaced;
use crate::http::{AppState, Code, Declaration, Failure, HoldDialect, Query, Routes, respond};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::Response;
use axum::routing::any;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use utoipa::{IntoParams, ToSchema};

const NAME_BYTES_MAX: usize = 128;
/// Parameters of other dialects, which are refused: a client would expect them to work.
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
/// The characters of names are not escaped in a location.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'$').remove(b'-').remove(b'.').remove(b'_').remove(b'+');
const DONE: &str = "{}\n";

pub static DECLARATION: Declaration = Declaration {
    label: "lock_by_name",
    dialect: Some(HoldDialect { id: Dialect::LockdRest, title: "lock by name", write_key: |key, _| key.to_string() }),
    services: &[],
    routes: |app, config| routes().with_state(Lockd::new(app, config)),
    documentation: Some(&Documentation {
        chapter: Chapter::Predecessor,
        tag: "Lock by name",
        about: "lockd's REST interface: the path is the lock. It has no owner and no lease, so anybody may release what \
            was taken here, and a hold ends only by a release, by `locks.max_hold` where that is set, or by force.",
        endpoints: || routes().into_endpoints(),
        schemas: add_schema::<NamedLockError>,
    }),
};

fn routes() -> Routes<Lockd> {
    Routes::new()
        .route("/lock/", any(lock_by_name))
        .route("/lock/{*name}", any(lock_by_name))
        .also::<__path_is_locked>()
        .also::<__path_lock>()
        .also::<__path_unlock>()
        .fallback(leads_here, any(lock_by_name))
}

/// Empty.
#[derive(ToSchema)]
struct NamedLock {}

#[derive(ToSchema)]
#[expect(dead_code, reason = "`fail` writes it as Go does")]
struct NamedLockError {
    error: String,
}

impl ErrorShape for NamedLockError {}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "`checked` reads it from the path")]
struct NameInPath {
    /// Letters, digits and `$ - . _`, at most 128.
    #[param(pattern = "^[A-Za-z0-9$._-]{1,128}$", example = "deploy")]
    name: String,
}

const NAMED: [Code; 2] = [Code::InvalidField, Code::Forbidden];

errors!(NamedErrors: NamedLockError, NAMED, CREDENTIAL, WRITE);
errors!(LockErrors: NamedLockError, NAMED, CREDENTIAL, WRITE, NEW_HOLD, KEYED);

/// Everything below `/lock/`. One handler for all of it, because lockd decodes and cleans a path before it looks for a
/// name in it.
async fn lock_by_name(State(state): State<Lockd>, request: Request) -> Response {
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
    answer(&state, &head, name).await.unwrap_or_else(|failure| fail(&failure))
}

/// Whether lockd's router would clean this path to one below `/lock/`.
fn leads_here(path: &str) -> bool {
    clean(path).starts_with(b"/lock/")
}

/// A path as Go's routers read it: percent-decoded, without empty steps, `.` and `..`; a slash at its end stays.
fn clean(path: &str) -> Vec<u8> {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut steps: Vec<&[u8]> = Vec::new();
    let mut is_open = false;
    for step in decoded.split(|byte| *byte == b'/') {
        is_open = matches!(step, b"" | b".");
        match step {
            b"" | b"." => {}
            b".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    let mut cleaned: Vec<u8> = steps.iter().flat_map(|step| [b"/", *step].concat()).collect();
    if is_open || cleaned.is_empty() {
        cleaned.push(b'/');
    }
    cleaned
}

/// lockd's router finds nothing at empty and split names.
fn is_one_segment(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'/')
}

async fn answer(state: &Lockd, head: &Parts, name: &[u8]) -> Result<Response, Failure> {
    let (app, name) = (&state.app, checked(name)?);
    let identity = identify_and_touch(app, head, None).await?;
    match head.method {
        Method::POST => lock(state, head, &identity, name).await,
        Method::DELETE => unlock(app, &identity, name).await,
        _ => is_locked(app, &identity, name).await,
    }
}

/// Ask whether a lock is held
#[utoipa::path(
    get,
    path = "/lock/{name}",
    params(NameInPath),
    responses(
        (status = 200, description = "It is held, through whatever dialect.", body = NamedLock),
        (status = 301, description = "The name ends in a slash: `Location` is the path without it.", body = String, content_type = "text/html; charset=utf-8"),
        (status = 404, description = "It is not held.", content((NamedLockError = "application/json"), (String = "text/plain"))),
        NamedErrors,
    ),
)]
async fn is_locked(app: &AppState, identity: &Identity, name: &str) -> Result<Response, Failure> {
    may_read(identity, name)?;
    let (lock, _) = app.engine.lock(&Name::from(name)).await.map_err(explain)?;
    Ok(found(lock.is_some_and(|lock| !lock.holds.is_empty())))
}

/// Take a lock
#[utoipa::path(
    post,
    path = "/lock/{name}",
    operation_id = "lock_by_name",
    params(NameInPath, IdempotencyHeader),
    responses(
        (status = 200, description = "Taken.", body = NamedLock, headers(("Fencing-Token", description = "Higher than every token given before."))),
        (status = 307, description = "The name ends in a slash: `Location` is the path without it."),
        (status = 404, description = "A name with a slash, also an encoded one, is no name here (then as text).", content((NamedLockError = "application/json"), (String = "text/plain"))),
        (status = 409, description = "Somebody holds it, or waits for it.", body = NamedLockError),
        LockErrors,
    ),
)]
async fn lock(state: &Lockd, head: &Parts, identity: &Identity, name: &str) -> Result<Response, Failure> {
    let app = &state.app;
    may_take(identity, name)?;
    check_misplaced(Query::of(&head.uri), &FOREIGN, ELSEWHERE, app.settings.unknown_fields)?;
    let request = request_key(head, None, &Scope { identity, session: None }, b"")?;
    let acquire = Acquire {
        lease_ms: state.max_hold_ms,
        idempotency_key: request,
        caller: caller(identity, head),
        ..Acquire::new(Name::from(name), Engine::new_key(), Dialect::LockdRest)
    };
    let hold = app.engine.acquire(acquire).await.map_err(explain)?;
    let mut response = json(StatusCode::OK, body_of_grant(head, hold.delivery, DONE.into()));
    response.headers_mut().insert(FENCING_TOKEN, hold.token.0.into());
    Ok(response)
}

/// Release a lock
///
/// Releases only what was taken through this dialect.
#[utoipa::path(
    delete,
    path = "/lock/{name}",
    operation_id = "unlock_by_name",
    params(NameInPath),
    responses(
        (status = 200, description = "Released.", body = NamedLock),
        (status = 307, description = "The name ends in a slash: `Location` is the path without it."),
        (status = 404, description = "Nothing was taken here under this name.", content((NamedLockError = "application/json"), (String = "text/plain"))),
        NamedErrors,
    ),
)]
async fn unlock(app: &AppState, identity: &Identity, name: &str) -> Result<Response, Failure> {
    may_take(identity, name)?;
    release_by_name(&app.engine, name, Dialect::LockdRest).await.map(found).map_err(explain)
}

/// lockd's rules for names, in its order and with its messages.
fn checked(name: &[u8]) -> Result<&str, Failure> {
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

/// A fault, with the message of lockd if it has one.
fn explain(fault: Fault) -> Failure {
    let failure = Failure::from_fault(&fault, &NAMES);
    let words = match failure.code {
        Code::Held | Code::WaitTimedOut | Code::SizeMismatch => "Lock conflict",
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

/// Whether there is a hold, or was one to release.
fn found(is_found: bool) -> Response {
    match is_found {
        true => json(StatusCode::OK, DONE),
        false => json(StatusCode::NOT_FOUND, "{\"error\":\"Not Found\"}\n"),
    }
}

/// The answer of lockd's router to unknown paths and methods.
fn page_not_found() -> Response {
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
