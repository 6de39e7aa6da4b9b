//! `x-request-id`: taken from the request where it is fit for a log line, made otherwise; in the answer and known to
//! whatever the request's task runs.
//!
//! One layer of ours: those of `tower-http` put the id into the request's headers, which are counted after that, and cost
//! 0.3 to 0.5 µs more, which is 2 % of the processor time of a `POST /v1/lock` (20 µs).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tower::Service;

use crate::base::request_id::{self, CurrentId};
use crate::http::header_fields;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are replaced.
const LENGTH_MAX: usize = 128;

/// The id that a request brings, unless it is too long, has other characters than ids usually have, or is not the only
/// one.
fn taken(headers: &HeaderMap) -> Option<CurrentId> {
    let mut ids = header_fields::values(headers, X_REQUEST_ID);
    let id = ids.next().filter(|id| is_fit(id) && ids.next().is_none())?;
    Some(CurrentId::Taken(id.clone()))
}

fn is_fit(id: &HeaderValue) -> bool {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:;/+=@".contains(byte);
    (1..=LENGTH_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_usual)
}

/// The layer.
#[derive(Clone)]
pub struct RequestIds<S>(pub S);

pin_project! {
    /// Adds the id to the response.
    pub struct WithId<F> {
        #[pin]
        response: TaskLocalFuture<CurrentId, F>,
    }
}

impl<S, A, B> Service<Request<A>> for RequestIds<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = WithId<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let id = taken(request.headers()).unwrap_or_else(CurrentId::make);
        WithId { response: request_id::scope(id, || self.0.call(request)) }
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B, E> Future for WithId<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let mut response = ready!(this.response.as_mut().poll(context))?;
        if let Some(id) = this.response.take_value().and_then(CurrentId::into_header) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(ids: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for id in ids {
            headers.append(X_REQUEST_ID, HeaderValue::from_str(id).expect("a header value"));
        }
        taken(&headers).is_some()
    }

    #[test]
    fn only_one_short_id_of_usual_characters_is_taken() {
        for fit in ["7b0d0f3e-5a55-4c43-a4b5-3f5d4e1f2a6b", "Root=1-67891233-abc;Self=2", &"x".repeat(128)] {
            assert!(is_taken(&[fit]), "{fit}");
        }
        for unfit in ["", "a b", "a\"b", "{}", "é", &"x".repeat(129)] {
            assert!(!is_taken(&[unfit]), "{unfit}");
        }
        assert!(!is_taken(&["a", "b"]));
        assert!(!is_taken(&[]));
    }
}
