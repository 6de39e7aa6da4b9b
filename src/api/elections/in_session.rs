//! Requests of candidates: the credential first, then the session of the cookie. Errors are problem documents.

use crate::access::Identity;
use crate::api::answer::{Answer, uncached};
use crate::domain::SessionId;
use crate::http::auth::{identify, may_use};
use crate::http::cookie::{RequestCookie, request_cookie};
use crate::http::problem::problem;
use crate::http::{AppState, Code, Failure};
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{header, request::Parts};
use axum::response::Response;

/// Errors of every such request, besides those of the credential.
pub const IN_SESSION: [Code; 6] = [
    Code::SessionUnknown,
    Code::SessionOfAnother,
    Code::InvalidField,
    Code::LimitExceeded,
    Code::Forbidden,
    Code::UnsupportedMediaType,
];

/// A request with a valid credential and a readable cookie. The engine knows whether its session lives.
pub struct Candidate<'a> {
    pub app: &'a AppState,
    pub head: &'a Parts,
    pub identity: Identity,
    pub session: SessionId,
}

/// Carries out an operation in the session of the request, whose cookie goes with the answer.
pub async fn in_session<O>(app: &AppState, request: Request, operation: O) -> Answer
where
    O: AsyncFnOnce(&Candidate<'_>, Bytes) -> Result<Response, Failure>,
{
    let (head, body) = request.into_parts();
    let candidate = Candidate::enter(app, &head).await?;
    let outcome = match app.body(&head, body).await {
        Ok(body) => operation(&candidate, body).await,
        Err(failure) => Err(failure),
    };
    candidate.answer(outcome).await
}

impl<'a> Candidate<'a> {
    async fn enter(app: &'a AppState, head: &'a Parts) -> Result<Candidate<'a>, Failure> {
        let identity = identify(app, head).await?;
        let RequestCookie::Session(session) = request_cookie(&head.headers) else {
            let detail = "a session is needed: open one with POST /session, and send its cookie";
            return Err(Failure::new(Code::SessionUnknown, detail));
        };
        may_use(app, &identity, head, session).await.map_err(Failure::of)?;
        Ok(Candidate { app, head, identity, session })
    }

    /// What was refused before the engine looked at the session is a sign of life of it, too.
    async fn answer(&self, outcome: Result<Response, Failure>) -> Answer {
        let response = match outcome {
            Ok(response) => response,
            Err(failure) => {
                let touched = self.app.engine.touch_session(self.session).await.map_err(Failure::of);
                match touched {
                    Err(ended) if ended.code == Code::SessionUnknown => return Err(ended.into()),
                    _ => problem(&failure),
                }
            }
        };
        let mut response = uncached(response);
        let cookie = self.app.session_cookie(self.session, self.head);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        Ok(response)
    }
}
