//! Lock/unlock JSON: the two endpoints that RaftLock's README promises and RaftLock never had.
//!
//! `lock_id` names lock and holder by itself. Beyond the README: `wait`, `metadata`, `fencing_token`, and a 409 that
//! describes the holder.

mod messages;

use crate::access::Identity;
use crate::domain::time::round_up_ms;
use crate::domain::{Acquire, Dialect, HeldBy, Name, Proof, Refusal, Wait};
use crate::engine::{Engine, Fault};
use crate::http::auth::{caller, identify_and_touch, may_take};
use crate::http::delivery::granted;
use crate::http::endpoint::{
    BODY, CREDENTIAL, Chapter, Documentation, IdempotencyHeader, KEYED, NEW_HOLD, WRITE, add_schema, errors,
};
use crate::http::idempotency::{Scope, request_key};
use crate::http::respond::{self, seconds};
use crate::http::unknown_fields::check_query;
use crate::http::{AppState, Code, Declaration, Failure, FieldNames, HoldDialect, Query, Routes, key};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header, request::Parts};
use axum::response::Response;
use axum::routing::any;
use messages::{ErrorAnswer, ErrorBody, Holder, LockRequest, Locked, UnlockRequest, Unlocked};

const NAMES: FieldNames = FieldNames { name: "resource", size: "size", lease: "ttl", wait: "wait" };

pub static DECLARATION: Declaration = Declaration {
    label: "lock_unlock",
    dialect: Some(HoldDialect { id: Dialect::RaftLockRest, title: "lock/unlock JSON", write_key: key::lock_id }),
    services: &[],
    routes: |app, config| {
        let default_ttl_ms = round_up_ms(config.locks.lock_unlock_ttl);
        routes().with_state(LockUnlock { app: AppState::clone(app), default_ttl_ms })
    },
    documentation: Some(&Documentation {
        chapter: Chapter::Predecessor,
        tag: "Lock/unlock JSON",
        about: "The REST interface that RaftLock's README describes: `resource` and `ttl` in, a `lock_id` out, which \
            alone shows the right to unlock.",
        endpoints: || routes().into_endpoints(),
        schemas: add_schema::<ErrorAnswer<'_>>,
    }),
};

#[derive(Clone)]
struct LockUnlock {
    app: AppState,
    /// The lease of a hold that names no ttl.
    default_ttl_ms: u64,
}

fn routes() -> Routes<LockUnlock> {
    Routes::new().described::<__path_lock>(any(lock)).described::<__path_unlock>(any(unlock))
}

const MESSAGE: [Code; 4] = [Code::InvalidField, Code::LimitExceeded, Code::UnsupportedMediaType, Code::Forbidden];
const NOT_TAKEN: [Code; 5] = [Code::Held, Code::Frozen, Code::WaitTimedOut, Code::SizeMismatch, Code::QueueFull];

errors!(LockErrors: ErrorAnswer<'_>, BODY, MESSAGE, CREDENTIAL, WRITE, NOT_TAKEN, NEW_HOLD, KEYED);
errors!(UnlockErrors: ErrorAnswer<'_>, BODY, MESSAGE, CREDENTIAL, WRITE, [Code::WrongKey]);

/// Take a lock
///
/// Tries once, or waits up to `wait` seconds. A 409 names the holder, the time left, and the number of waiters.
#[utoipa::path(
    post,
    path = "/lock",
    operation_id = "lock_resource",
    params(IdempotencyHeader),
    request_body(content = LockRequest, example = json!({"resource": "deploy", "ttl": 30})),
    responses((status = 200, description = "Taken.", body = Locked), LockErrors),
)]
async fn lock(State(state): State<LockUnlock>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    try_lock(&state, &head, body).await.unwrap_or_else(|failure| fail(&failure, None))
}

/// Release a lock
#[utoipa::path(
    post,
    path = "/unlock",
    operation_id = "unlock_resource",
    request_body(content = UnlockRequest, example = json!({"lock_id": "9e2c01020304450687080b0c0d0e0f10.ZGVwbG95"})),
    responses((status = 200, description = "Released.", body = Unlocked), UnlockErrors),
)]
async fn unlock(State(state): State<LockUnlock>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    try_unlock(&state.app, &head, body).await.unwrap_or_else(|failure| fail(&failure, None))
}

async fn try_lock(state: &LockUnlock, head: &Parts, body: Body) -> Result<Response, Failure> {
    let app = &state.app;
    let (identity, body) = read(app, head, body).await?;
    let unknown = app.settings.unknown_fields;
    let asked = LockRequest::parse(&body, &app.engine.limits(), state.default_ttl_ms, unknown)?;
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
    match app.engine.acquire(acquire).await {
        Ok(hold) => {
            let answer = Locked {
                lock_id: key::lock_id(hold.key, &name),
                resource: &name,
                fencing_token: hold.token.0,
                expires_in_seconds: hold.expires_in.map(seconds),
            };
            Ok(granted(head, hold.delivery, StatusCode::OK, respond::to_json(&answer)))
        }
        Err(Fault::Refused(Refusal::Held(by))) => Ok(held(app, &by)),
        Err(fault) => Err(Failure::from_fault(&fault, &NAMES)),
    }
}

async fn try_unlock(app: &AppState, head: &Parts, body: Body) -> Result<Response, Failure> {
    let (identity, body) = read(app, head, body).await?;
    let asked = UnlockRequest::parse(&body, app.settings.unknown_fields)?;
    let (key, name) = key::from_lock_id(&asked.lock_id).ok_or_else(unknown_lock_id)?;
    may_take(&identity, &name)?;
    match app.engine.release(Name::from(name), None, Proof::Key(key)).await {
        Ok(_) => {
            let answer = Unlocked { lock_id: &asked.lock_id, released: true };
            Ok(respond::json(StatusCode::OK, respond::to_json(&answer)))
        }
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => Err(unknown_lock_id()),
        Err(fault) => Err(Failure::from_fault(&fault, &NAMES)),
    }
}

/// The same for every reason, so that the answer does not reveal which part was right.
fn unknown_lock_id() -> Failure {
    Failure { field: Some("lock_id"), ..Failure::new(Code::WrongKey, "lock_id is not known, or its hold has ended") }
}

/// The caller and the body of a request of the right form.
async fn read(app: &AppState, head: &Parts, body: Body) -> Result<(Identity, Bytes), Failure> {
    if head.method != Method::POST {
        return Err(Failure::new(Code::MethodNotAllowed, "only POST is allowed here"));
    }
    let identity = identify_and_touch(app, head, None).await?;
    check_content_type(&head.headers)?;
    check_query(Query::of(&head.uri), &[], app.settings.unknown_fields)?;
    Ok((identity, app.body(head, body).await?))
}

/// A content type may be left out, but if there is one it must be JSON's.
fn check_content_type(headers: &HeaderMap) -> Result<(), Failure> {
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

/// Describes the holder, without the key of its hold.
fn held(app: &AppState, by: &HeldBy) -> Response {
    let now = app.engine.now();
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
