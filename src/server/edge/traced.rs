//! Traces some requests: the span of each, the steps that the engine notes below it, and `traceresponse` in the answer.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tower::Service;

use super::accounting::method_name;
use crate::base::request_times::{self, RequestTimes};
use crate::telemetry::Metrics;
use crate::telemetry::traces::{TracedRequest, Traces};

/// As the second level of W3C Trace Context has it.
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

#[derive(Clone)]
pub struct Traced<S> {
    inner: S,
    traces: Arc<Traces>,
    metrics: Arc<Metrics>,
    /// Of the connection.
    address: IpAddr,
}

impl<S> Traced<S> {
    pub fn new(inner: S, traces: Arc<Traces>, metrics: Arc<Metrics>, address: IpAddr) -> Self {
        Self { inner, traces, metrics, address }
    }
}

pin_project! {
    pub struct Tracing<F> {
        #[pin]
        answer: TaskLocalFuture<Option<Arc<RequestTimes>>, F>,
        // Taken by the answer; dropped with a request that is given up.
        traced: Option<TracedRequest>,
    }
}

impl<S, A, B> Service<Request<A>> for Traced<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Tracing<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let labels = &self.metrics.requests.labels;
        let (dialect, method) = (labels.name_of(labels.of(request.uri().path())), method_name(request.method()));
        let traced = self.traces.begin(request.headers(), self.address, method, dialect);
        let times = traced.as_ref().map(TracedRequest::times);
        Tracing { answer: request_times::scope(times, || self.inner.call(request)), traced }
    }
}

impl<F, B> Future for Tracing<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.answer.poll(context));
        if let Some(traced) = this.traced.take() {
            if let Ok(value) = HeaderValue::from_str(&traced.traceresponse()) {
                response.headers_mut().insert(TRACERESPONSE, value);
            }
            traced.answered(response.status().as_u16());
        }
        Poll::Ready(Ok(response))
    }
}
