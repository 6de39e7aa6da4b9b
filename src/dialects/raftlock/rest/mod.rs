//! Lock/unlock JSON: the two endpoints that RaftLock's README promises and nobody ever built.
//!
//! `lock_id` names lock and holder by itself. Beyond the README: `wait`, `metadata`, `fencing_token`, and a 409 that
//! says who is in the way.

mod request;
pub(crate) mod schema;

use crate::domain::{Acquire, Dialect, HeldBy, Name, Proof, Refusal, Wait};
use crate::engine::{Engine, Fault};
use crate::http::auth::{caller, identify, may_take, touch_carried};
use crate::http::code::{Code, FieldNames};
use crate::http::failure::Failure;
use crate::http::handover::granted;
use crate::http::idempotency::{Scope, request_key};
use crate::http::key;
use crate::http::query::Query;
use crate::http::respond::{self, seconds};
use crate::http::service::{Attempt, Shared};
use crate::http::unknown::check_query;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header, request::Parts};
use axum::response::Response;
use request::{LockRequest, UnlockRequest};
use schema::{ErrorAnswer, ErrorBody, Holder, Locked, Unlocked};

const NAMES: FieldNames = FieldNames { name: "resource", size: "size", lease: "ttl", wait: "wait" };

/// `POST /lock`
pub async fn lock(State(service): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    match try_lock(&service, &head, body).await {
        Ok(response) => response,
        Err(failure) => fail(&failure, None),
    }
}

/// `POST /unlock`
pub async fn unlock(State(service): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    match try_unlock(&service, &head, body).await {
        Ok(response) => response,
        Err(failure) => fail(&failure, None),
    }
}

async fn try_lock(service: &Shared, head: &Parts, body: Body) -> Attempt<Response> {
    check_method(head)?;
    let identity = identify(service, head).await?;
    touch_carried(service, &identity, head).await;
    check_content_type(&head.headers)?;
    let unknown = service.settings.unknown;
    check_query(Query::of(&head.uri), &[], unknown)?;
    let body = service.body(head, body).await?;
    let asked = LockRequest::parse(&body, &service.engine.limits(), service.settings.lock_unlock_ttl_ms, unknown)?;
    may_take(&identity, &asked.resource)?;
    let scope = Scope { identity: &identity, session: None };
    let request = request_key(head, asked.request_id.as_deref(), &scope, &body)?;
    let name = Name::from(&*asked.resource);
    let acquire = Acquire {
        lease_ms: Some(asked.ttl_ms),
        wait: (asked.wait_ms > 0).then_some(Wait::Attached { timeout_ms: asked.wait_ms }),
        metadata: asked.metadata,
        idempotency_key: request,
        caller: caller(&identity, head),
        ..Acquire::new(name.clone(), Engine::new_key(), Dialect::RaftLockRest)
    };
    match service.engine.acquire(acquire).await {
        Ok(hold) => {
            let answer = Locked {
                lock_id: key::lock_id(hold.key, &name),
                resource: &name,
                fencing_token: hold.token.0,
                expires_in_seconds: hold.expires_in.map(seconds),
            };
            Ok(granted(head, hold.delivery, StatusCode::OK, respond::to_json(&answer)))
        }
        Err(Fault::Refused(Refusal::Held(by))) => Ok(held(service, &by)),
        Err(fault) => Err(Failure::from_fault(&fault, &NAMES)),
    }
}

async fn try_unlock(service: &Shared, head: &Parts, body: Body) -> Attempt<Response> {
    check_method(head)?;
    let identity = identify(service, head).await?;
    touch_carried(service, &identity, head).await;
    check_content_type(&head.headers)?;
    let unknown = service.settings.unknown;
    check_query(Query::of(&head.uri), &[], unknown)?;
    let body = service.body(head, body).await?;
    let asked = UnlockRequest::parse(&body, unknown)?;
    let Some((key, name)) = key::from_lock_id(&asked.lock_id) else {
        return Err(unknown_lock_id());
    };
    may_take(&identity, &name)?;
    match service.engine.release(Name::from(name), None, Proof::Key(key)).await {
        Ok(_) => {
            let answer = Unlocked { lock_id: &asked.lock_id, released: true };
            Ok(respond::json(StatusCode::OK, respond::to_json(&answer)))
        }
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => Err(unknown_lock_id()),
        Err(fault) => Err(Failure::from_fault(&fault, &NAMES)),
    }
}

/// The same for every reason, so that nobody learns which part was right.
fn unknown_lock_id() -> Failure {
    Failure { field: Some("lock_id"), ..Failure::new(Code::WrongKey, "lock_id is not known, or its hold has ended") }
}

fn check_method(head: &Parts) -> Attempt<()> {
    if head.method == Method::POST {
        return Ok(());
    }
    Err(Failure::new(Code::MethodNotAllowed, "only POST is allowed here"))
}

/// A content type may be left out, but if there is one it must be JSON's.
fn check_content_type(headers: &HeaderMap) -> Attempt<()> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    let shown: String = String::from_utf8_lossy(essence).chars().take(64).collect();
    let detail = format!("Content-Type must be application/json, not {shown}: send the fields as a JSON object");
    Err(Failure { field: Some("Content-Type"), ..Failure::new(Code::UnsupportedMediaType, detail) })
}

/// Says who is in the way, without what would open the hold.
fn held(service: &Shared, by: &HeldBy) -> Response {
    let now = service.engine.now();
    let holder = Holder {
        metadata: by.metadata.iter().collect(),
        fencing_token: by.token.0,
        held_for_seconds: seconds(now.since(by.since)),
        remaining_seconds: by.deadline.map(|deadline| seconds(deadline.since(now))),
        queue_length: by.waiters,
    };
    fail(&Failure::new(Code::Held, "the lock is held, or others wait for it"), Some(holder))
}

fn fail(failure: &Failure, holder: Option<Holder<'_>>) -> Response {
    let row = failure.code.row();
    let error = ErrorBody {
        code: row.name,
        message: &failure.detail,
        retryable: row.retryable,
        field: failure.field,
        limit: failure.limit,
        config_key: failure.config_key,
    };
    let response = respond::json(row.status, respond::to_json(&ErrorAnswer { error, holder }));
    let response = respond::with_failure_headers(response, failure);
    match failure.code {
        Code::MethodNotAllowed => respond::with_header(response, header::ALLOW, "POST"),
        _ => response,
    }
}
