//! Counts requests by dialect, method and status, and takes the time of each.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{Method, Request, Response};
use pin_project_lite::pin_project;
use tower::Service;

use super::connection::Clock;
use crate::telemetry::Metrics;
use crate::telemetry::requests::Label;

/// Counts what another service answers.
#[derive(Clone)]
pub struct Accounting<S> {
    inner: S,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl<S> Accounting<S> {
    pub fn new(inner: S, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self { inner, metrics, clock }
    }
}

impl<S, A, B> Service<Request<A>> for Accounting<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Counted<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (label, method) = (self.metrics.requests.labels.of(request.uri().path()), method_name(request.method()));
        let begun = (self.clock)();
        let answer = self.inner.call(request);
        Counted { answer, label, method, begun, clock: self.clock, metrics: Arc::clone(&self.metrics) }
    }
}

pin_project! {
    /// A request until its answer is ready.
    pub struct Counted<F> {
        #[pin]
        answer: F,
        label: Label,
        method: &'static str,
        begun: Duration,
        clock: Clock,
        metrics: Arc<Metrics>,
    }
}

impl<F, B> Future for Counted<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.answer.poll(context));
        this.metrics.requests.count(*this.label, this.method, response.status().as_u16());
        this.metrics.request_seconds.observe_duration((this.clock)().saturating_sub(*this.begun));
        Poll::Ready(Ok(response))
    }
}

pub fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
