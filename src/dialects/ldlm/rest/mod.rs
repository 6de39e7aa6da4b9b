//! Sessions v1, the native dialect: LDLM's REST interface with its cookie, byte for byte, minus its defects.
//!
//! Beyond LDLM: modes, weights, lock delays and several names; upgrade, downgrade and transfer; `wait_timeout_seconds` and `metadata` on `/v1/lock`, fractions of a second, `fencing_token` and
//! `expires_in_seconds` in answers, `/v1/renew` and `/v1/refreshlock` side by side.

mod answer;
mod changes;
mod fields;
mod holds;
mod in_session;
mod places;
mod request;
mod schema;

use crate::access::{Identity, Role};
use crate::audit::{Act, Action};
use crate::domain::time::round_up_ms;
use crate::domain::{Dialect, Force, Refusal, SessionId};
use crate::engine::Fault;
use crate::http::auth::{caller, identify, may_use};
use crate::http::connection::client;
use crate::http::cookie::{self, RequestCookie, request_cookie};
use crate::http::endpoint::{ACT, BODY, Chapter, Documentation, IdempotencyHeader, KEYED, WRITE, add_schema, errors};
use crate::http::idempotency::{Scope, request_key};
use crate::http::unknown_fields::check_misplaced;
use crate::http::{AppState, Code, Declaration, Failure, HoldDialect, Query, Routes, administration, key, respond};
use answer::SessionError;
use axum::body::Body;
use axum::extract::{FromRef, Request, State};
use axum::http::{Method, StatusCode, header, request::Parts};
use axum::response::Response;
use axum::routing::any;
use fields::{FIELDS, IN_BODY};
use in_session::{Rejection, RequestInSession};
use request::SessionRequest;
use schema::{GatewayError, IN_SESSION, MESSAGE, SessionAnswer};
use std::sync::Arc;
use std::time::Duration;

pub static DECLARATION: Declaration = Declaration {
    label: "sessions_v1",
    dialect: Some(HoldDialect { id: Dialect::LdlmRest, title: "sessions v1", write_key: |key, _| key::dashed(key) }),
    services: &[],
    routes: |app, config| {
        let idle_ms_max = round_up_ms(config.sessions.idle_timeout_max);
        routes().with_state(Sessions { app: AppState::clone(app), idle_ms_max })
    },
    documentation: Some(&Documentation {
        chapter: Chapter::Native,
        tag: "Sessions v1",
        about: "The native dialect, and that of LDLM's REST clients. Open a session, keep its cookie, take locks with \
            it, and everything is released when the session ends: when it is deleted, or when nothing was heard from it \
            for `sessions.idle_timeout`. What LDLM answers as 200 with an `error` object stays so.",
        endpoints: || routes().into_endpoints(),
        schemas: add_schema::<GatewayError>,
    }),
};

fn routes() -> Routes<Sessions> {
    Routes::new()
        .described::<__path_open>(any(session))
        .also::<__path_close>()
        .described::<holds::__path_lock>(any(holds::lock))
        .described::<holds::__path_unlock>(any(holds::unlock))
        .described::<holds::__path_renew>(any(holds::renew))
        .described::<holds::__path_refresh_lock>(any(holds::refresh_lock))
        .described::<changes::__path_downgrade>(any(changes::downgrade))
        .described::<changes::__path_upgrade>(any(changes::upgrade))
        .described::<changes::__path_transfer>(any(changes::transfer))
        .uncounted("/v1/lock/", any(not_found))
        .uncounted("/v1/unlock/", any(not_found))
        .uncounted("/v1/renew/", any(not_found))
        .uncounted("/v1/refreshlock/", any(not_found))
        .uncounted("/session/", any(not_found))
}

#[derive(Clone)]
struct Sessions {
    app: AppState,
    /// The longest idle timeout that a session may be opened with.
    idle_ms_max: u64,
}

impl FromRef<Sessions> for AppState {
    fn from_ref(sessions: &Sessions) -> AppState {
        AppState::clone(&sessions.app)
    }
}

/// Every method on `/session`. Other methods than LDLM's two find nothing there, as with LDLM.
async fn session(State(state): State<Sessions>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let app = &state.app;
    match head.method {
        Method::POST => open(&state, &head, body).await.unwrap_or_else(|failure| answer::failure(&failure)),
        Method::DELETE => close(app, &head).await.unwrap_or_else(|failure| answer::failure(&failure)),
        _ => nothing_here(app, &head).await,
    }
}

/// LDLM asks for the session before it looks for the path. Kept for the paths that only its clients could mean
/// (`/v1/lock/`, `/session/`): anywhere else a missing cookie would hide other dialects' answers.
async fn not_found(State(app): State<AppState>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    nothing_here(&app, &head).await
}

async fn nothing_here(app: &AppState, head: &Parts) -> Response {
    match RequestInSession::enter(app, head).await {
        Ok(caller) => caller.answer(Err(Rejection::from(Failure::new(Code::NotFound, "Not Found")))).await,
        Err(response) => response,
    }
}

errors!(OpenErrors: GatewayError, BODY, MESSAGE, WRITE, [Code::RateExceeded, Code::SessionsFull, Code::DiskNearlyFull, Code::TableFull, Code::QuotaFull, Code::ShareFull], KEYED);
errors!(CloseErrors: GatewayError, [Code::TooManyAttempts], ACT, WRITE, IN_SESSION);

/// Open a session
///
/// The answer sets the cookie `ldlm-session`. The session ends when nothing is heard from it for its idle timeout. It is
/// of use with the credential that opened it. Where none is configured an `Idempotency-Key` is ignored.
#[utoipa::path(
    post,
    path = "/session",
    operation_id = "open_session",
    params(IdempotencyHeader),
    request_body(content = Option<SessionRequest>, example = json!({"idle_timeout_seconds": 600})),
    responses(
        (status = 201, description = "The session is open.", body = SessionAnswer, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        (status = 401, description = "No credential, or a wrong one; without a body.", headers(("WWW-Authenticate", description = "`Basic realm=\"Restricted\"`"))),
        OpenErrors,
    ),
)]
async fn open(state: &Sessions, head: &Parts, body: Body) -> Result<Response, Failure> {
    let app = &state.app;
    let identity = identify(app, head).await?;
    if !identity.may_write() {
        return Err(Failure::forbidden("open a session", identity.lack_of(Role::Client)));
    }
    let unknown = app.settings.unknown_fields;
    check_misplaced(Query::of(&head.uri), &FIELDS, IN_BODY, unknown)?;
    let body = app.body(head, body).await?;
    let idle_timeout_ms = SessionRequest::parse(&body, state.idle_ms_max, unknown)?.idle_timeout_ms;
    // Older releases read no body, and say the same of a session that asks for nothing.
    let asked = idle_timeout_ms.map_or(String::new(), |ms| ms.to_string());
    let request = request_key(head, None, &Scope { identity: &identity, session: None }, asked.as_bytes())?;
    // Anonymous callers share one scope: a guessed key would give the session of another.
    let request = request.filter(|_| !identity.is_anonymous());
    let by = caller(&identity, head);
    let opened = match idle_timeout_ms {
        Some(ms) => app.engine.open_session_for(Duration::from_millis(ms), request, by).await,
        None => app.engine.open_session(request, by).await,
    };
    let session = opened.map_err(|fault| answer::from_fault(&fault))?;
    let idle_timeout = app.engine.idle_timeout_of(session);
    let mut response = respond::json(StatusCode::CREATED, answer::session(Some((session, idle_timeout))));
    response.headers_mut().insert(header::SET_COOKIE, app.session_cookie(session, head));
    Ok(response)
}

/// Close a session
///
/// Releases all that the session holds, and ends its waits.
#[utoipa::path(
    delete,
    path = "/session",
    operation_id = "close_session",
    responses(
        (status = 200, description = "The session is closed; the cookie is emptied.", body = SessionAnswer, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        (status = 401, description = "No credential or a wrong one (then without a body), or no session cookie.", body = schema::SessionError),
        (status = 409, description = "The session is not known.", body = schema::SessionError),
        CloseErrors,
    ),
    security(("session" = [])),
)]
async fn close(app: &AppState, head: &Parts) -> Result<Response, Failure> {
    let identity = identify(app, head).await?;
    if !identity.may_write() {
        return Err(Failure::forbidden("close a session", identity.lack_of(Role::Client)));
    }
    let session = match request_cookie(&head.headers) {
        RequestCookie::Session(session) => session,
        RequestCookie::Nothing => return Ok(SessionError::CookieMissing.response()),
        RequestCookie::Empty | RequestCookie::Unreadable => return Ok(SessionError::NotFound.response()),
    };
    may_use(app, &identity, head, session).await.map_err(|fault| answer::from_fault(&fault))?;
    match close_for(app, &identity, head, session).await? {
        Ok(()) => {
            let mut response = respond::json(StatusCode::OK, answer::session(None));
            response.headers_mut().insert(header::SET_COOKIE, cookie::cleared(client(head).https));
            Ok(response)
        }
        Err(Fault::Refused(Refusal::SessionUnknown)) => Ok(SessionError::NotFound.response()),
        Err(fault) => Err(answer::from_fault(&fault)),
    }
}

/// An admin may close a session that another credential has opened, which is an act of an operator.
async fn close_for(
    app: &AppState,
    identity: &Identity,
    head: &Parts,
    session: SessionId,
) -> Result<Result<(), Fault>, Failure> {
    let owned = app.engine.check_session_of(session, caller(identity, head)).await;
    if !matches!(owned, Err(Fault::Refused(Refusal::SessionOfAnother))) {
        return Ok(app.engine.close_session(session).await);
    }
    const REASON: &str = "a DELETE of /session with another credential";
    let act = Act::new(Action::EndSession).on("session", session.handle()).because(REASON);
    let (engine, by) = (app.engine.clone(), administration::by(identity, head));
    let (actor, label) = (Arc::clone(&by.who), session.handle());
    administration::carry_out(app, by, act, None, async move {
        engine.end_session(session, Force::new(&actor, REASON)).await?;
        tracing::warn!(actor = &*actor, session = label, "{actor} closed the session {label} of another credential");
        Ok(())
    })
    .await
}
