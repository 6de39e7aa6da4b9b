//! Something that an answer keeps until it is sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Error;
use axum::body::{Body, HttpBody};
use axum::http::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// Keeps `guard` until an answer is sent whose body is made while it goes out. A body that is ready
/// needs no guard: the connection itself sees whether its bytes go out.
pub fn until_sent<G: Send + Unpin + 'static>(response: Response<Body>, guard: G) -> Response<Body> {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| Body::new(Streaming { body, _guard: guard }))
}

struct Streaming<G> {
    body: Body,
    _guard: G,
}

impl<G: Unpin> HttpBody for Streaming<G> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
