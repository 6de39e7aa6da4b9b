//! What surrounds every request, at the cost of a few atomics: who asks, how long it took, and a last net for panics.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use axum::routing::future::RouteFuture;
use tower::Service;

use super::admission::{self, Admission};
use super::browser::BrowserGuard;
use super::drain::Drain;
use super::forwarded::{TrustedProxies, names_a_proxy};
use super::in_flight::InFlight;
use super::link::Link;
use super::rest::{Rest, Standing, throw_away, watched};
use super::unread::ReadToTheEnd;
use crate::http::peer::{ClientAddr, Peer};
use crate::telemetry::requests::Spoken;

/// Reads a monotonic clock.
pub type Clock = fn() -> Duration;

/// What all connections share about requests.
pub struct Surroundings {
    pub trusted: TrustedProxies,
    pub browsers: BrowserGuard,
    pub clock: Clock,
    pub drain: Drain,
    pub header_bytes_max: usize,
    /// How long a body may take to come.
    pub body_timeout: Duration,
}

/// The service of one connection.
#[derive(Clone)]
pub struct Edge {
    router: Router,
    link: Arc<Link>,
    surroundings: Arc<Surroundings>,
    /// The peer is a trusted proxy, so its headers are read.
    proxied: bool,
}

impl Edge {
    /// The connection that it is for.
    pub fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }

    pub fn clock(&self) -> Clock {
        self.surroundings.clock
    }

    /// Surrounds `router` for one connection.
    pub fn new(router: Router, link: Arc<Link>, surroundings: Arc<Surroundings>) -> Self {
        let proxied = surroundings.trusted.trust(link.peer.ip);
        Self { router, link, surroundings, proxied }
    }

    fn client<B>(&self, request: &Request<B>) -> ClientAddr {
        match self.proxied {
            true => self.surroundings.trusted.client(self.link.peer, request.headers()),
            false => self.link.peer,
        }
    }
}

impl<B> Service<Request<B>> for Edge
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Answering {
        let client = self.client(&request);
        let connection = Arc::clone(&self.link.delivery);
        let clock = self.surroundings.clock;
        // HTTP/2 has its own word for it, which closing the connection says.
        let asks_to_move = self.surroundings.drain.is_draining() && request.version() != Version::HTTP_2;
        let asked = Asked {
            asks_to_move,
            dialect: Spoken::on(request.uri().path()),
            method: method_name(request.method()),
            has_body: !request.body().is_end_stream(),
            at: clock(),
        };
        let admission = Admission { link: &self.link, surroundings: &self.surroundings, proxied: self.proxied };
        let admitted = admission.admit(&request, client.ip, asked.has_body);
        let in_flight = InFlight::begin(&self.link, request.version(), admitted.as_ref().ok().map(Arc::clone));
        let verdict = admitted.map(|unidentified| {
            let via_proxy = self.proxied || names_a_proxy(request.headers());
            request.extensions_mut().insert(Peer { client, connection, via_proxy, unidentified });
        });
        let verdict = verdict.map_err(|failure| admission::refused(request.headers(), failure));
        let (head, body) = request.into_parts();
        let (body, rest) = match (asked.has_body, head.version) {
            (false, _) => (Body::new(body), None),
            // Such a stream is reset with its answer, whatever else it would send.
            (true, Version::HTTP_2) if verdict.is_err() => (Body::empty(), None),
            (true, Version::HTTP_2) => (Body::new(ReadToTheEnd::new(Body::new(body))), None),
            (true, _) => {
                let (body, rest) = watched(Body::new(body), &head.headers);
                (body, Some((rest, self.surroundings.body_timeout)))
            }
        };
        let version = head.version;
        let answer = match verdict {
            Ok(()) => Answer::Routed(self.router.call(Request::from_parts(head, body))),
            Err(refusal) => Answer::Refused(Some(refusal)),
        };
        let (link, surroundings) = (Arc::clone(&self.link), Arc::clone(&self.surroundings));
        Answering { answer, answered: None, rest, version, in_flight: Some(in_flight), link, asked, surroundings }
    }
}

/// An answer in the making.
pub struct Answering {
    answer: Answer,
    /// The answer, while the rest of the body is looked at.
    answered: Option<Response<Body>>,
    /// Of a body under HTTP/1, and for how long it may come late.
    rest: Option<(Rest, Duration)>,
    version: Version,
    /// Taken along by the answer.
    in_flight: Option<InFlight>,
    link: Arc<Link>,
    asked: Asked,
    surroundings: Arc<Surroundings>,
}

enum Answer {
    Routed(RouteFuture<Infallible>),
    /// Before any route was asked.
    Refused(Option<Response<Body>>),
}

impl Answer {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Response<Body>, Infallible>> {
        match self {
            Answer::Routed(answer) => Pin::new(answer).poll(context),
            Answer::Refused(answer) => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
        }
    }
}

/// What is remembered of a request until it is answered.
struct Asked {
    dialect: Spoken,
    method: &'static str,
    has_body: bool,
    /// This node leaves: the client is to connect anew.
    asks_to_move: bool,
    at: Duration,
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.answered.is_none() {
            // A handler that panics has broken its own request only; the future is not polled again.
            let polled = catch_unwind(AssertUnwindSafe(|| this.answer.poll(context)));
            let Poll::Ready(Ok(response)) = polled.unwrap_or_else(|_| Poll::Ready(Ok(panicked()))) else {
                this.rest.iter_mut().for_each(|(rest, _)| rest.read_on(context));
                return Poll::Pending;
            };
            this.answered = Some(response);
        }
        let ends = ready!(this.poll_rest(context));
        let Some(mut response) = this.answered.take() else { return Poll::Pending };
        if ends || this.asked.asks_to_move || (this.link.probes_only.is_some() && this.version != Version::HTTP_2) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        this.surroundings.browsers.dress(response.headers_mut(), this.link.peer.https);
        let (link, status) = (&this.link, response.status());
        let metrics = link.metrics();
        metrics.requests.count(this.asked.dialect, this.asked.method, status.as_u16());
        metrics.request_seconds.observe((this.surroundings.clock)().saturating_sub(this.asked.at));
        Poll::Ready(Ok(match this.in_flight.take() {
            Some(in_flight) => in_flight.until_sent(response),
            None => response,
        }))
    }
}

impl Answering {
    /// Whether the connection has to end, for what is left of the body. What comes yet is read in the background.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let status = self.answered.as_ref().map_or(StatusCode::OK, Response::status);
        let Some((rest, timeout)) = &mut self.rest else {
            self.link.note_unread_body(self.asked.has_body && status.as_u16() >= 400);
            return Poll::Ready(false);
        };
        let standing = ready!(rest.poll_standing(context));
        self.link.note_unread_body(!matches!(standing, Standing::Read));
        match standing {
            Standing::Read => Poll::Ready(false),
            // It has taken too long already.
            Standing::Late(_) if status == StatusCode::REQUEST_TIMEOUT => Poll::Ready(true),
            Standing::Late(rest) => {
                let (in_flight, timeout) = (InFlight::begin(&self.link, self.version, None), *timeout);
                tokio::spawn(async move {
                    // Whoever sends the rest too slowly has no connection to lose.
                    let _ = tokio::time::timeout(timeout, throw_away(rest)).await;
                    drop(in_flight);
                });
                Poll::Ready(false)
            }
            Standing::Unread => Poll::Ready(true),
        }
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn panicked() -> Response<Body> {
    tracing::error!("a request handler panicked; its client got 500");
    let problem = r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#;
    let mut response = Response::new(Body::from(problem));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let content_type = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
