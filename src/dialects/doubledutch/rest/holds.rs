//! `GET /getlock` and `DELETE /releaselock`.

use super::answer::{self, CredentialWords};
use super::schema::{NotTaken, ReleaseAnswer, Taken};
use crate::domain::{Acquire, Dialect, HoldKey, Name, Proof, Refusal, SessionId, Wait};
use crate::engine::{Engine, Fault, Granted, Released};
use crate::http::auth::{caller, identify_with, may_take, may_use, touch_carried};
use crate::http::code::{Code, FieldNames};
use crate::http::cookie::{Carried, carried};
use crate::http::failure::Failure;
use crate::http::handover::granted;
use crate::http::idempotency::{Scope, request_key};
use crate::http::key;
use crate::http::numbers::DurationField;
use crate::http::query::Query;
use crate::http::respond::{self, seconds};
use crate::http::service::{Attempt, Shared};
use crate::http::unknown::check_query;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header, request::Parts};
use axum::response::Response;

const NAMES: FieldNames = FieldNames { name: "lockname", size: "size", lease: "lifetime", wait: "timeout" };

const AT_GETLOCK: CredentialWords = CredentialWords {
    key: "error",
    missing: (StatusCode::UNAUTHORIZED, "no api key supplied"),
    wrong: "invalid api key",
};
const AT_RELEASELOCK: CredentialWords =
    CredentialWords { key: "error", missing: (StatusCode::BAD_REQUEST, "invalid params"), wrong: "invalid key" };

/// Takes a lock, or waits for it up to `timeout` seconds.
///
/// Routed for every method: a router's GET would answer HEAD too, and HEAD must never take a lock.
pub async fn get_lock(State(service): State<Shared>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    if head.method != Method::GET {
        return answer::other_method(&service, head.method == Method::OPTIONS, "OPTIONS, GET");
    }
    match try_get_lock(&service, &head).await {
        Ok(response) => response,
        Err(failure) => answer::failure(&service, &failure),
    }
}

async fn try_get_lock(service: &Shared, head: &Parts) -> Attempt<Response> {
    let query = Query::of(&head.uri);
    let Some(name) = query.text("lockname")? else {
        return Err(Failure::field("lockname", "no lockname supplied"));
    };
    let auth = query.text("auth")?;
    let identity = match identify_with(service, head, auth.as_deref()).await {
        Ok(identity) => identity,
        Err(denied) => return Ok(answer::not_let_in(service, &denied, AT_GETLOCK)),
    };
    // Also when the request turns out to be no good: any request of a session keeps it.
    touch_carried(service, &identity, head).await;
    check_query(query, &["lockname", "auth", "lifetime", "timeout"], service.settings.unknown)?;
    let limits = service.engine.limits();
    let lifetime =
        DurationField { name: "lifetime", zero: false, limit_ms: limits.lease_ms_max, config_key: "locks.lease_max" };
    let lease_ms = match query.text(lifetime.name)? {
        Some(text) => lifetime.ms_of_text(&text)?,
        None => service.settings.get_lock_lifetime_ms,
    };
    let timeout =
        DurationField { name: "timeout", zero: true, limit_ms: limits.wait_ms_max, config_key: "locks.wait_max" };
    let timeout_ms = query.text(timeout.name)?.map_or(Ok(0), |text| timeout.ms_of_text(&text))?;
    may_take(&identity, &name)?;
    let session = bound_session(head)?;
    if let Some(session) = session {
        may_use(service, &identity, head, session).await.map_err(|fault| Failure::from_fault(&fault, &NAMES))?;
    }
    let wait = (timeout_ms > 0).then_some(Wait::Attached { timeout_ms });
    let scope = Scope { identity: &identity, session };
    // The credential is no part of what is asked for, and may have moved into a header.
    let asked = format!("{lease_ms} {timeout_ms} {name}");
    let request = request_key(head, None, &scope, asked.as_bytes())?;
    let name = Name::from(&*name);
    let acquire = Acquire {
        idempotency_key: request,
        caller: caller(&identity, head),
        ..ask(name.clone(), session, lease_ms, wait)
    };
    let answered = service.engine.acquire(acquire).await;
    answer_acquire(service, head, &name, session, answered)
}

fn ask(name: Name, session: Option<SessionId>, lease_ms: u64, wait: Option<Wait>) -> Acquire {
    Acquire { session, lease_ms: Some(lease_ms), wait, ..Acquire::new(name, Engine::new_key(), Dialect::DoubleDutch) }
}

/// The session that a cookie binds the hold to. A deleted session's empty cookie binds to nothing.
fn bound_session(head: &Parts) -> Attempt<Option<SessionId>> {
    match carried(&head.headers) {
        Carried::Session(session) => Ok(Some(session)),
        Carried::Nothing | Carried::Empty => Ok(None),
        Carried::Unreadable => Err(Failure::new(Code::SessionUnknown, "session cookie invalid or expired")),
    }
}

fn answer_acquire(
    service: &Shared,
    head: &Parts,
    name: &str,
    session: Option<SessionId>,
    answered: Result<Granted, Fault>,
) -> Attempt<Response> {
    let mut response = match answered {
        Ok(hold) => taken(service, head, name, hold),
        Err(Fault::Refused(Refusal::Held(_) | Refusal::WaitTimedOut | Refusal::SizeMismatch { .. })) => {
            let body = NotTaken {
                servername: answer::server_name(service),
                lockname: name,
                sessiontoken: "",
                lockacquired: false,
            };
            answer::json(service, StatusCode::OK, &body)
        }
        Err(Fault::Refused(Refusal::SessionUnknown)) => {
            return Err(Failure::new(Code::SessionUnknown, "session cookie invalid or expired"));
        }
        Err(fault) => return Err(Failure::from_fault(&fault, &NAMES)),
    };
    if let Some(session) = session {
        response.headers_mut().insert(header::SET_COOKIE, service.session_cookie(session, head));
    }
    Ok(response)
}

fn taken(service: &Shared, head: &Parts, name: &str, hold: Granted) -> Response {
    let body = Taken {
        servername: answer::server_name(service),
        lockname: name,
        sessiontoken: &hold.key.to_string(),
        lockacquired: true,
        fencing_token: hold.token.0,
        expires_in: hold.expires_in.map(seconds),
    };
    let body = respond::to_json(&body);
    answer::dressed(service, granted(head, hold.delivery, StatusCode::OK, body))
}

/// Gives a lock back. The token alone shows the right to, as the older generation of clients expects.
pub async fn release_lock(State(service): State<Shared>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    if head.method != Method::DELETE {
        return answer::other_method(&service, head.method == Method::OPTIONS, "OPTIONS, DELETE");
    }
    match try_release_lock(&service, &head).await {
        Ok(response) => response,
        Err(failure) => answer::failure(&service, &failure),
    }
}

async fn try_release_lock(service: &Shared, head: &Parts) -> Attempt<Response> {
    let query = Query::of(&head.uri);
    let (Some(name), Some(token)) = (query.text("lockname")?, query.text("token")?) else {
        return Err(Failure::new(Code::InvalidField, "invalid params"));
    };
    let auth = query.text("auth")?;
    let identity = match identify_with(service, head, auth.as_deref()).await {
        Ok(identity) => Some(identity),
        Err(missing)
            if missing.code == Code::CredentialMissing && service.settings.get_lock_release_without_credential =>
        {
            None
        }
        Err(denied) => return Ok(answer::not_let_in(service, &denied, AT_RELEASELOCK)),
    };
    if let Some(identity) = &identity {
        may_take(identity, &name)?;
        touch_carried(service, identity, head).await;
    }
    check_query(query, &["lockname", "auth", "token"], service.settings.unknown)?;
    let key = key::from_hex(&token).unwrap_or(key::NOBODY);
    let released = match release(service, Name::from(&*name), key, identity.is_none()).await {
        Ok(_) => true,
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => false,
        Err(fault) => return Err(Failure::from_fault(&fault, &NAMES)),
    };
    let body = ReleaseAnswer { servername: answer::server_name(service), lockname: &name, lockreleased: released };
    let status = if released { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Ok(answer::json(service, status, &body))
}

/// Without a credential the key opens only what this dialect took.
async fn release(service: &Shared, name: Name, key: HoldKey, is_anonymous: bool) -> Result<Released, Fault> {
    let engine = &service.engine;
    if is_anonymous {
        engine.limits().check_name(&name)?;
        engine.read_barrier().await?;
        if engine.hold(&name, key).is_none_or(|hold| hold.dialect != Dialect::DoubleDutch) {
            return Err(Refusal::WrongKey.into());
        }
    }
    engine.release(name, None, Proof::Key(key)).await
}
