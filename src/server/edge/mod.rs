//! What surrounds every request of a connection, from the outermost layer in.

mod accounting;
mod admit;
mod connection;
mod panics;
mod request_id;
mod traced;
mod unread_body;

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Response, header};
use tower::{Service, ServiceBuilder};
use tower_http::sensitive_headers::SetSensitiveHeadersLayer;
use tower_http::trace::TraceLayer;

use super::browser::{NO_SNIFFING, SAME_ORIGIN};
use super::link::Link;
use accounting::Accounting;
use admit::Admit;
use connection::OnConnection;
use panics::CatchPanics;
use request_id::RequestIds;
use traced::Traced;
use unread_body::RequestBody;

pub use connection::{Clock, EdgeContext};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A client that has the value of one of these has the rights of its owner.
static SECRET_HEADERS: LazyLock<Arc<[HeaderName]>> = LazyLock::new(|| {
    let x_api_key = HeaderName::from_static("x-api-key");
    Arc::new([header::AUTHORIZATION, header::COOKIE, header::SET_COOKIE, x_api_key])
});

/// The service of one connection.
#[derive(Clone)]
pub struct Edge<S> {
    layers: S,
    link: Arc<Link>,
    clock: Clock,
}

/// Surrounds `router` for one connection.
///
/// Layers that are missing here on purpose: each dialect bounds bodies itself (`http/body.rs`), because each has its
/// own error body for one that is too large or too late; waiting for a lock is no reason to time out; and only the routes
/// that need it compress (`http/compression.rs`).
pub fn edge<B: RequestBody>(router: Router, link: Arc<Link>, context: Arc<EdgeContext>) -> Edge<impl Layers<B>> {
    let clock = context.clock;
    let strict_transport = context.browsers.strict_transport(link.peer.https);
    let metrics = link.metrics();
    let diagnostics = tracing::enabled!(tracing::Level::DEBUG).then(|| {
        let trace = TraceLayer::new_for_http().make_span_with(span).on_request(()).on_response(()).on_failure(());
        ServiceBuilder::new()
            .layer(SetSensitiveHeadersLayer::from_shared(Arc::clone(&SECRET_HEADERS)))
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(trace)
            .into_inner()
    });
    let (address, counted) = (link.peer.ip, Arc::clone(metrics));
    let traced = context.traces.clone().map(|traces| {
        tower::layer::layer_fn(move |inner| Traced::new(inner, Arc::clone(&traces), Arc::clone(&counted), address))
    });
    let layers = ServiceBuilder::new()
        .layer_fn(RequestIds)
        .option_layer(traced)
        .option_layer(diagnostics)
        .layer_fn(|inner| Accounting::new(inner, Arc::clone(metrics), clock))
        .map_response(move |response| with_security_headers(response, strict_transport.as_ref()))
        .layer_fn(|inner| OnConnection::new(inner, Arc::clone(&link), Arc::clone(&context)))
        .layer_fn(CatchPanics)
        .layer_fn(|inner| Admit::new(inner, Arc::clone(&link), Arc::clone(&context)))
        .service(router);
    Edge { layers, link, clock }
}

/// A span costs 0.5 to 0.7 µs, which is 3 % of the processor time of a `POST /v1/lock` (20 µs), so spans, and the marks on
/// headers that no span may show, are there at the levels `debug` and `trace` only; log lines have the request's id at
/// every level. The path may hold a key, and stays out.
fn span<B>(request: &Request<B>) -> tracing::Span {
    tracing::debug_span!("request", method = %request.method(), version = ?request.version())
}

/// What keeps a browser from taking an answer for something else, or giving it to another site.
fn with_security_headers(mut response: Response<Body>, strict_transport: Option<&HeaderValue>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, SAME_ORIGIN);
    strict_transport.map(|value| headers.insert(header::STRICT_TRANSPORT_SECURITY, value.clone()));
    response
}

impl<S> Edge<S> {
    pub fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }

    pub fn clock(&self) -> Clock {
        self.clock
    }
}

pub trait Layers<B>:
    Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
}

impl<S, B> Layers<B> for S where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + 'static
{
}

impl<S: Layers<B>, B> Service<Request<B>> for Edge<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.layers.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.layers.call(request)
    }
}
