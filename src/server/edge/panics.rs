//! A handler that panics has broken its own request only: its client gets 500, and the connection goes on.
//!
//! Ours, because `tower-http`'s layer boxes the body of every answer twice, which costs 2 % of a `POST /v1/lock`.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tower::Service;

use crate::base;
use crate::http::problem::PROBLEM_JSON;

/// The layer.
#[derive(Clone)]
pub struct CatchPanics<S>(pub S);

pin_project! {
    /// An answer, or 500 where making it panics.
    pub struct Caught<F> {
        // `None` where the call itself has panicked.
        #[pin]
        answer: Option<F>,
    }
}

impl<S> Service<Request<Body>> for CatchPanics<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Caught<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Caught { answer: catch_unwind(AssertUnwindSafe(|| self.0.call(request))).ok() }
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for Caught<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = self.project().answer.as_pin_mut() else {
            return Poll::Ready(Ok(panicked()));
        };
        let polled: Result<_, Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(|| answer.poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(Ok(panicked())))
    }
}

fn panicked() -> Response<Body> {
    tracing::error!("a request handler panicked; its client got 500");
    let id = base::request_id::current().map(|id| format!(r#","request_id":"{id}""#)).unwrap_or_default();
    let problem = format!(r#"{{"type":"about:blank","title":"Internal Server Error","status":500{id}}}"#);
    let mut response = Response::new(Body::from(problem));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let content_type = HeaderValue::from_static(PROBLEM_JSON);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
