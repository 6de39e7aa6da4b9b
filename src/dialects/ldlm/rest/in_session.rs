//! Checks the credential, then the session cookie, before anything else.

use super::answer::{self, SessionError};
use crate::access::Identity;
use crate::domain::{Refusal, SessionId};
use crate::engine::Fault;
use crate::http::auth::{identify, may_use};
use crate::http::cookie::{RequestCookie, request_cookie};
use crate::http::grpc::unary::{GRPC_TIMEOUT, parse_timeout};
use crate::http::header_fields;
use crate::http::respond::with_header;
use crate::http::{AppState, Code, Failure};
use axum::http::{header, request::Parts};
use axum::response::Response;

/// A request with a valid credential and a readable cookie. The engine knows whether its session lives.
pub struct RequestInSession<'a> {
    pub app: &'a AppState,
    pub head: &'a Parts,
    pub identity: Identity,
    pub session: SessionId,
}

/// A request that is not carried out.
pub enum Rejection {
    /// Refused before the engine checked the session.
    BeforeSession(Box<Response>),
    /// Refused by the engine.
    AfterSession(Fault),
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Rejection {
        Rejection::before_session(answer::failure(&failure))
    }
}

impl Rejection {
    pub fn before_session(response: Response) -> Rejection {
        Rejection::BeforeSession(Box::new(response))
    }
}

impl<'a> RequestInSession<'a> {
    pub async fn enter(app: &'a AppState, head: &'a Parts) -> Result<RequestInSession<'a>, Response> {
        let identity = identify(app, head).await.map_err(|failure| answer::failure(&failure))?;
        match request_cookie(&head.headers) {
            RequestCookie::Session(session) => match may_use(app, &identity, head, session).await {
                Ok(()) => Ok(RequestInSession { app, head, identity, session }),
                Err(fault) => Err(answer::failure(&answer::from_fault(&fault))),
            },
            RequestCookie::Nothing => Err(SessionError::CookieMissing.response()),
            RequestCookie::Empty | RequestCookie::Unreadable => Err(SessionError::CookieInvalid.response()),
        }
    }

    /// The final answer. A living session gets a new cookie with it.
    pub async fn answer(&self, outcome: Result<Response, Rejection>) -> Response {
        match outcome {
            Ok(response) => self.with_cookie(response),
            // In a box: most requests do not come here.
            Err(Rejection::BeforeSession(response)) => {
                match Box::pin(self.app.engine.touch_session(self.session)).await {
                    Ok(()) => self.with_cookie(*response),
                    Err(fault) => self.refused(&fault),
                }
            }
            Err(Rejection::AfterSession(fault)) => self.refused(&fault),
        }
    }

    fn refused(&self, fault: &Fault) -> Response {
        match fault {
            Fault::Refused(Refusal::SessionUnknown) => SessionError::CookieInvalid.response(),
            Fault::Refused(_) => self.with_cookie(answer::failure(&answer::from_fault(fault))),
            // The session was not checked.
            Fault::Engine(_) | Fault::Member(_) | Fault::TooFast(_) => answer::failure(&answer::from_fault(fault)),
        }
    }

    fn with_cookie(&self, mut response: Response) -> Response {
        let cookie = self.app.session_cookie(self.session, self.head);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        response
    }
}

/// The answer to a method that a path does not have. LDLM answered 501.
pub fn method_not_allowed(allowed: &'static str) -> Response {
    let response = answer::failure(&Failure::new(Code::MethodNotAllowed, "Method Not Allowed"));
    with_header(response, header::ALLOW, allowed)
}

/// A `Grpc-Timeout` header must be digits and a unit, as the gateway demands; it bounds nothing here.
pub fn check_grpc_timeout(head: &Parts) -> Result<(), Failure> {
    let timeout = header_fields::values(&head.headers, GRPC_TIMEOUT).next();
    let Some(value) = timeout.filter(|value| parse_timeout(value.as_bytes()).is_none()) else { return Ok(()) };
    let shown = String::from_utf8_lossy(value.as_bytes());
    Err(Failure::field("Grpc-Timeout", format!("invalid grpc-timeout: {shown}")))
}
