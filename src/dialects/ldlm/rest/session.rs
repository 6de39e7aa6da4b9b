//! `/session`: opening and closing sessions.

use super::answer;
use super::caller::{Caller, Stop};
use super::holds::{IN_BODY, failure};
use super::request::{FIELDS, SessionRequest};
use crate::domain::Refusal;
use crate::engine::Fault;
use crate::http::auth::{caller, identify, may_use};
use crate::http::code::Code;
use crate::http::cookie::{self, Carried, carried};
use crate::http::failure::Failure;
use crate::http::idempotency::{Scope, request_key};
use crate::http::query::Query;
use crate::http::respond;
use crate::http::service::{Shared, client};
use crate::http::unknown::check_misplaced;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header, request::Parts};
use axum::response::Response;
use std::time::Duration;

/// Every method on `/session`. Other methods than LDLM's two find nothing there, as with LDLM.
pub async fn session(State(service): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    match head.method {
        Method::POST => open(&service, &head, body).await.unwrap_or_else(|failure| answer::failure(&failure)),
        Method::DELETE => close(&service, &head).await.unwrap_or_else(|failure| answer::failure(&failure)),
        _ => nothing_here(&service, &head).await,
    }
}

/// LDLM asks for the session before it looks for the path. Kept for the paths that only its clients could mean
/// (`/v1/lock/`, `/session/`): anywhere else a missing cookie would hide other dialects' answers.
pub async fn not_found(State(service): State<Shared>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    nothing_here(&service, &head).await
}

async fn nothing_here(service: &Shared, head: &Parts) -> Response {
    match Caller::enter(service, head).await {
        Ok(caller) => caller.answer(Err(Stop::from(Failure::new(Code::NotFound, "Not Found")))).await,
        Err(response) => response,
    }
}

/// A new session, whatever cookie the request carries.
async fn open(service: &Shared, head: &Parts, body: Body) -> Result<Response, Failure> {
    let identity = identify(service, head).await?;
    if !identity.may_write() {
        return Err(Failure::forbidden("open a session", None));
    }
    let unknown = service.settings.unknown;
    check_misplaced(Query::of(&head.uri), &FIELDS, IN_BODY, unknown)?;
    let body = service.body(head, body).await?;
    let idle_timeout_ms = SessionRequest::parse(&body, service.settings.session_idle_ms_max, unknown)?.idle_timeout_ms;
    // Older releases read no body, and say the same of a session that asks for nothing.
    let asked = idle_timeout_ms.map_or(String::new(), |ms| ms.to_string());
    let request = request_key(head, None, &Scope { identity: &identity, session: None }, asked.as_bytes())?;
    // Whoever guessed the key of another caller without a name would be given that one's session.
    let request = request.filter(|_| !identity.is_anonymous());
    let by = caller(&identity, head);
    let opened = match idle_timeout_ms {
        Some(ms) => service.engine.open_session_for(Duration::from_millis(ms), request, by).await,
        None => service.engine.open_session(request, by).await,
    };
    let session = opened.map_err(|fault| failure(&fault))?;
    let idle_timeout = service.engine.idle_timeout_of(session);
    let mut response = respond::json(StatusCode::CREATED, answer::session(Some((session, idle_timeout))));
    response.headers_mut().insert(header::SET_COOKIE, service.session_cookie(session, head));
    Ok(response)
}

async fn close(service: &Shared, head: &Parts) -> Result<Response, Failure> {
    let identity = identify(service, head).await?;
    if !identity.may_write() {
        return Err(Failure::forbidden("close a session", None));
    }
    let session = match carried(&head.headers) {
        Carried::Session(session) => session,
        Carried::Nothing => return Ok(answer::cookie_missing()),
        Carried::Empty | Carried::Unreadable => return Ok(answer::session_not_found()),
    };
    may_use(service, &identity, head, session).await.map_err(|fault| failure(&fault))?;
    match service.engine.close_session(session).await {
        Ok(()) => {
            let mut response = respond::json(StatusCode::OK, answer::session(None));
            response.headers_mut().insert(header::SET_COOKIE, cookie::cleared(client(head).https));
            Ok(response)
        }
        Err(Fault::Refused(Refusal::SessionUnknown)) => Ok(answer::session_not_found()),
        Err(fault) => Err(failure(&fault)),
    }
}
