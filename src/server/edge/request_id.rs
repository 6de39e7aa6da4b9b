//! `x-request-id`: taken from the request where it is fit for a log line, made otherwise.

use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request};
use tokio::task::futures::TaskLocalFuture;
use tower::Service;
use tower_http::request_id::{MakeRequestId, RequestId};
use uuid::Uuid;

use crate::base::request_id;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are replaced.
const LENGTH_MAX: usize = 128;

/// Takes away an id that is too long, has other characters than ids usually have, or is not the only one.
pub fn drop_unfit(mut request: Request<Body>) -> Request<Body> {
    let mut ids = request.headers().get_all(X_REQUEST_ID).iter();
    let is_fit = ids.next().is_none_or(is_fit) && ids.next().is_none();
    if !is_fit {
        request.headers_mut().remove(X_REQUEST_ID);
    }
    request
}

fn is_fit(id: &HeaderValue) -> bool {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:;/+=@".contains(byte);
    (1..=LENGTH_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_usual)
}

/// Makes ids that nobody else makes.
#[derive(Clone, Copy)]
pub struct NewId;

impl MakeRequestId for NewId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let mut digits = [0; 32];
        let id = Uuid::new_v4().simple().encode_lower(&mut digits);
        HeaderValue::from_str(id).ok().map(RequestId::new)
    }
}

/// Makes the id known to whatever the request's task runs.
#[derive(Clone)]
pub struct KnownToTask<S>(pub S);

impl<S: Service<Request<Body>>> Service<Request<Body>> for KnownToTask<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<HeaderValue, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let id = request.extensions().get::<RequestId>().map(|id| id.header_value().clone());
        request_id::within(id.unwrap_or(HeaderValue::from_static("none")), || self.0.call(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(ids: &[&str]) -> usize {
        let mut request = Request::new(Body::empty());
        for id in ids {
            request.headers_mut().append(X_REQUEST_ID, HeaderValue::from_str(id).expect("a header value"));
        }
        drop_unfit(request).headers().len()
    }

    #[test]
    fn only_one_short_id_of_usual_characters_is_kept() {
        for fit in ["7b0d0f3e-5a55-4c43-a4b5-3f5d4e1f2a6b", "Root=1-67891233-abc;Self=2", &"x".repeat(128)] {
            assert_eq!(kept(&[fit]), 1, "{fit}");
        }
        for unfit in ["", "a b", "a\"b", "{}", "é", &"x".repeat(129)] {
            assert_eq!(kept(&[unfit]), 0, "{unfit}");
        }
        assert_eq!(kept(&["a", "b"]), 0);
        assert_eq!(kept(&[]), 0);
    }
}
