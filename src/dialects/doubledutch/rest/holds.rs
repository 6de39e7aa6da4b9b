//! `GET /getlock` and `DELETE /releaselock`.

use super::answer::{self, CredentialMessages, GetLock, NAMES};
use super::schema::{ErrorAnswer, LockQuery, NotTaken, ReleaseAnswer, ReleaseQuery, Taken};
use crate::domain::{Acquire, Dialect, HoldKey, Name, Proof, Refusal, SessionId, Wait};
use crate::engine::{Engine, Fault, Granted, Released};
use crate::http::auth::{caller, identify_and_touch, may_take, may_use};
use crate::http::cookie::{RequestCookie, request_cookie};
use crate::http::delivery::granted;
use crate::http::endpoint::{Either, IdempotencyHeader, KEYED, NEW_HOLD, WRITE, errors};
use crate::http::frozen::text_of;
use crate::http::idempotency::{Scope, request_key};
use crate::http::respond::{self, seconds};
use crate::http::seconds::DurationField;
use crate::http::unknown_fields::check_query;
use crate::http::{Code, Failure, Query, key};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header, request::Parts};
use axum::response::Response;

const AT_GETLOCK: CredentialMessages = CredentialMessages {
    key: "error",
    missing: (StatusCode::UNAUTHORIZED, "no api key supplied"),
    wrong: "invalid api key",
};
const AT_RELEASELOCK: CredentialMessages =
    CredentialMessages { key: "error", missing: (StatusCode::BAD_REQUEST, "invalid params"), wrong: "invalid key" };

const LIMITS: [Code; 6] = [
    Code::InvalidField,
    Code::LimitExceeded,
    Code::Forbidden,
    Code::SessionOfAnother,
    Code::QueueFull,
    Code::SessionHoldsFull,
];
errors!(LockErrors: ErrorAnswer, [Code::TooManyAttempts], WRITE, LIMITS, NEW_HOLD, KEYED);
errors!(ReleaseErrors: ErrorAnswer, [Code::TooManyAttempts], WRITE, [Code::Forbidden]);

/// Take a lock
///
/// Waits up to `timeout` seconds in the lock's queue. Answers are never cached, and HEAD takes nothing.
#[utoipa::path(
    get,
    path = "/getlock",
    params(LockQuery, IdempotencyHeader),
    responses(
        (status = 200, description = "Taken, or not: `lockacquired` tells.", body = inline(Either<Taken<'_>, NotTaken<'_>>)),
        (status = 401, description = "No credential, a wrong one, or a session cookie whose session has ended.", body = ErrorAnswer),
        LockErrors,
    ),
)]
// Routed for every method: a router's GET would answer HEAD too, and HEAD must never take a lock.
pub async fn get_lock(State(state): State<GetLock>, request: Request) -> Response {
    answer::answer(&state, request, "OPTIONS, GET", try_get_lock).await
}

async fn try_get_lock(state: &GetLock, head: &Parts) -> Result<Response, Failure> {
    let query = Query::of(&head.uri);
    let Some(name) = query.text("lockname")? else {
        return Err(Failure::field("lockname", "no lockname supplied"));
    };
    let auth = query.text("auth")?;
    // Also for an invalid request: any request of a session keeps it.
    let identity = match identify_and_touch(&state.app, head, auth.as_deref()).await {
        Ok(identity) => identity,
        Err(denied) => return Ok(answer::unauthorized(state, &denied, AT_GETLOCK)),
    };
    check_query(query, &["lockname", "auth", "lifetime", "timeout"], state.app.settings.unknown_fields)?;
    let limits = state.app.engine.limits();
    let lifetime = DurationField::lease(NAMES.lease, &limits);
    let lease_ms = match query.text(lifetime.name)? {
        Some(text) => lifetime.ms_of_text(&text)?,
        None => state.default_lifetime_ms,
    };
    let timeout = DurationField::wait(NAMES.wait, &limits);
    let timeout_ms = query.text(timeout.name)?.map_or(Ok(0), |text| timeout.ms_of_text(&text))?;
    may_take(&identity, &name)?;
    let session = bound_session(head)?;
    if let Some(session) = session {
        may_use(&state.app, &identity, head, session).await.map_err(|fault| Failure::from_fault(&fault, &NAMES))?;
    }
    let wait = (timeout_ms > 0).then_some(Wait::Attached { timeout_ms });
    let scope = Scope { identity: &identity, session };
    // The credential is not part of the request, and may have moved into a header.
    let asked = format!("{lease_ms} {timeout_ms} {name}");
    let request = request_key(head, None, &scope, asked.as_bytes())?;
    let name = Name::from(&*name);
    let acquire = Acquire {
        session,
        lease_ms: Some(lease_ms),
        wait,
        idempotency_key: request,
        caller: caller(&identity, head),
        ..Acquire::new(name.clone(), Engine::new_key(), Dialect::DoubleDutch)
    };
    let answered = state.app.engine.acquire(acquire).await;
    answer_acquire(state, head, &name, session, answered)
}

/// The session that a cookie binds the hold to. A deleted session's empty cookie binds to nothing.
fn bound_session(head: &Parts) -> Result<Option<SessionId>, Failure> {
    match request_cookie(&head.headers) {
        RequestCookie::Session(session) => Ok(Some(session)),
        RequestCookie::Nothing | RequestCookie::Empty => Ok(None),
        RequestCookie::Unreadable => Err(Failure::new(Code::SessionUnknown, "session cookie invalid or expired")),
    }
}

fn answer_acquire(
    state: &GetLock,
    head: &Parts,
    name: &str,
    session: Option<SessionId>,
    answered: Result<Granted, Fault>,
) -> Result<Response, Failure> {
    let mut response = match answered {
        Ok(hold) => taken(state, head, name, hold),
        Err(Fault::Refused(Refusal::Held(_) | Refusal::WaitTimedOut | Refusal::SizeMismatch { .. })) => {
            not_taken(state, name, None)
        }
        Err(Fault::Refused(Refusal::Frozen(by))) => not_taken(state, name, Some(text_of(&by))),
        Err(Fault::Refused(Refusal::SessionUnknown)) => {
            return Err(Failure::new(Code::SessionUnknown, "session cookie invalid or expired"));
        }
        Err(fault) => return Err(Failure::from_fault(&fault, &NAMES)),
    };
    if let Some(session) = session {
        response.headers_mut().insert(header::SET_COOKIE, state.app.session_cookie(session, head));
    }
    Ok(response)
}

fn not_taken(state: &GetLock, lockname: &str, frozen: Option<String>) -> Response {
    let servername = state.server_name();
    let body = NotTaken { servername, lockname, sessiontoken: "", lockacquired: false, frozen };
    answer::json(state, StatusCode::OK, &body)
}

fn taken(state: &GetLock, head: &Parts, name: &str, hold: Granted) -> Response {
    let body = Taken {
        servername: state.server_name(),
        lockname: name,
        sessiontoken: &hold.key.to_string(),
        lockacquired: true,
        fencing_token: hold.token.0,
        expires_in: hold.expires_in.map(seconds),
    };
    let body = respond::to_json(&body);
    answer::with_common_headers(state, granted(head, hold.delivery, StatusCode::OK, body))
}

/// Release a lock
///
/// A token that fits is enough; `auth` may be left out, as older clients do.
#[utoipa::path(
    delete,
    path = "/releaselock",
    params(ReleaseQuery),
    responses(
        (status = 200, description = "Released.", body = ReleaseAnswer),
        (status = 400, description = "A parameter is missing, or nothing that this token opens is held.", body = inline(Either<ReleaseAnswer<'_>, ErrorAnswer>)),
        (status = 401, description = "A wrong credential.", body = ErrorAnswer),
        ReleaseErrors,
    ),
)]
pub async fn release_lock(State(state): State<GetLock>, request: Request) -> Response {
    answer::answer(&state, request, "OPTIONS, DELETE", try_release_lock).await
}

async fn try_release_lock(state: &GetLock, head: &Parts) -> Result<Response, Failure> {
    let query = Query::of(&head.uri);
    let (Some(name), Some(token)) = (query.text("lockname")?, query.text("token")?) else {
        return Err(Failure::new(Code::InvalidField, "invalid params"));
    };
    let auth = query.text("auth")?;
    let identity = match identify_and_touch(&state.app, head, auth.as_deref()).await {
        Ok(identity) => Some(identity),
        Err(missing) if missing.code == Code::CredentialMissing && state.release_without_credential => None,
        Err(denied) => return Ok(answer::unauthorized(state, &denied, AT_RELEASELOCK)),
    };
    if let Some(identity) = &identity {
        may_take(identity, &name)?;
    }
    check_query(query, &["lockname", "auth", "token"], state.app.settings.unknown_fields)?;
    let key = key::from_hex(&token).unwrap_or(key::NO_KEY);
    let released = match release(state, Name::from(&*name), key, identity.is_none()).await {
        Ok(_) => true,
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => false,
        Err(fault) => return Err(Failure::from_fault(&fault, &NAMES)),
    };
    let body = ReleaseAnswer { servername: state.server_name(), lockname: &name, lockreleased: released };
    let status = if released { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Ok(answer::json(state, status, &body))
}

/// Without a credential the key opens only holds of this dialect.
async fn release(state: &GetLock, name: Name, key: HoldKey, is_anonymous: bool) -> Result<Released, Fault> {
    let engine = &state.app.engine;
    if is_anonymous {
        engine.limits().check_name(&name)?;
        engine.read_barrier().await?;
        if engine.local_hold(&name, key).is_none_or(|hold| hold.dialect != Dialect::DoubleDutch) {
            return Err(Refusal::WrongKey.into());
        }
    }
    engine.release(name, None, Proof::Key(key)).await
}
