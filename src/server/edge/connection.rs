//! Ties each request to its connection: the connection is not idle meanwhile, and it closes when too much of a body is
//! left unread or this node drains.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use pin_project_lite::pin_project;
use tower::Service;

use super::super::browser::BrowserGuard;
use super::super::forwarded::TrustedProxies;
use super::super::link::Link;
use super::unread_body::{BodyState, RequestBody, UnreadBody, discard_late, watched};
use crate::base::{Drain, DrainPhase};
use crate::http::respond::until_sent;
use crate::telemetry::traces::Traces;

/// Reads a monotonic clock.
pub type Clock = fn() -> Duration;

/// What the connections of one listener share about requests.
pub struct EdgeContext {
    pub trusted: TrustedProxies,
    pub browsers: BrowserGuard,
    pub clock: Clock,
    pub drain: Drain,
    pub header_bytes_max: usize,
    /// How long a body may take to come.
    pub body_timeout: Duration,
    /// `None` where no requests are traced.
    pub traces: Option<Arc<Traces>>,
}

/// A request from its complete head to the last byte of its answer, which keeps its connection from counting as idle.
struct InFlight {
    link: Arc<Link>,
}

impl InFlight {
    fn begin(link: &Arc<Link>, version: Version) -> Self {
        link.request_begins(version == Version::HTTP_2);
        Self { link: Arc::clone(link) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.link.request_ends();
    }
}

/// Serves the requests of one connection.
#[derive(Clone)]
pub struct OnConnection<S> {
    inner: S,
    link: Arc<Link>,
    context: Arc<EdgeContext>,
}

impl<S> OnConnection<S> {
    pub fn new(inner: S, link: Arc<Link>, context: Arc<EdgeContext>) -> Self {
        Self { inner, link, context }
    }
}

impl<S, B> Service<Request<B>> for OnConnection<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    B: RequestBody,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let version = request.version();
        let in_flight = InFlight::begin(&self.link, version);
        let has_body = !request.body().is_end_stream();
        let (head, body) = request.into_parts();
        let (body, rest) = match has_body && version != Version::HTTP_2 {
            true => {
                let (body, rest) = watched(body, &head.headers);
                (body, Some(rest))
            }
            false => (Body::new(body), None),
        };
        Answering {
            answer: self.inner.call(Request::from_parts(head, body)),
            answered: None,
            tail: Tail { rest, version, has_body, link: Arc::clone(&self.link), context: Arc::clone(&self.context) },
            in_flight: Some(in_flight),
        }
    }
}

pin_project! {
    pub struct Answering<F> {
        #[pin]
        answer: F,
        // The answer, while the rest of the body is looked at.
        answered: Option<Response<Body>>,
        tail: Tail,
        // Taken along by the answer.
        in_flight: Option<InFlight>,
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for Answering<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.answered.is_none() {
            let Poll::Ready(Ok(response)) = this.answer.poll(context) else {
                this.tail.rest.iter_mut().for_each(|rest| rest.read_on(context));
                return Poll::Pending;
            };
            *this.answered = Some(response);
        }
        let status = this.answered.as_ref().map_or(StatusCode::OK, Response::status);
        let ends = ready!(this.tail.poll_ends(status, context));
        let (Some(mut response), Some(in_flight)) = (this.answered.take(), this.in_flight.take()) else {
            return Poll::Pending;
        };
        if ends || this.tail.is_last() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(until_sent(response, in_flight)))
    }
}

/// What may be left of a request's body when it is answered.
struct Tail {
    /// Under HTTP/1.
    rest: Option<UnreadBody>,
    version: Version,
    has_body: bool,
    link: Arc<Link>,
    context: Arc<EdgeContext>,
}

impl Tail {
    /// Whether the answer is to say that the connection ends. HTTP/2 has its own way to say it, which closing the connection
    /// uses.
    fn is_last(&self) -> bool {
        let drains = || self.context.drain.has_reached(DrainPhase::Announced);
        self.version != Version::HTTP_2 && (self.link.probes_only.is_some() || drains())
    }

    /// Whether the connection has to end, for what is left of the body. What comes yet is read in the background.
    fn poll_ends(&mut self, status: StatusCode, context: &mut Context<'_>) -> Poll<bool> {
        let Some(rest) = &mut self.rest else {
            self.link.note_unread_body(self.has_body && status.as_u16() >= 400);
            return Poll::Ready(false);
        };
        let state = ready!(rest.poll_state(context));
        self.link.note_unread_body(!matches!(state, BodyState::Read));
        match state {
            BodyState::Read => Poll::Ready(false),
            // It has taken too long already.
            BodyState::Late(_) if status == StatusCode::REQUEST_TIMEOUT => Poll::Ready(true),
            BodyState::Late(rest) => {
                let (in_flight, timeout) = (InFlight::begin(&self.link, self.version), self.context.body_timeout);
                tokio::spawn(async move {
                    // A client that sends the rest too slowly has no connection to lose.
                    let _ = tokio::time::timeout(timeout, discard_late(rest)).await;
                    drop(in_flight);
                });
                Poll::Ready(false)
            }
            BodyState::Unread => Poll::Ready(true),
        }
    }
}
