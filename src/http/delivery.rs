//! Answers with a grant: the hold is released unless the kernel has taken the whole answer.
//!
//! The engine's [`GrantGuard`] travels from the grant through the handler into the answer's body, and from there to the
//! [`Connection`], which knows when the bytes are out. Dropped anywhere on this way, it releases the hold.

use super::connection::{ClientInfo, Connection};
use super::respond;
use crate::engine::GrantGuard;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, request::Parts};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A delivery and the connection that it depends on.
pub type Pending = (Arc<Connection>, GrantGuard);

pub fn granted(head: &Parts, delivery: GrantGuard, status: StatusCode, body: Vec<u8>) -> Response {
    respond::with_body(status, Some(respond::JSON), body_of_grant(head, delivery, body))
}

/// The body of an answer with a grant. It must not be empty: the HTTP layer never asks for an empty body.
pub fn body_of_grant(head: &Parts, delivery: GrantGuard, body: Vec<u8>) -> Body {
    debug_assert!(!body.is_empty(), "an empty body is never taken");
    Body::new(GrantBody { content: Some(body.into()), trailers: None, pending: pending(head, delivery) })
}

/// The delivery of a grant over the connection of its request; `None` in process, where the answer has arrived.
pub fn pending(head: &Parts, delivery: GrantGuard) -> Option<Pending> {
    match head.extensions.get::<ClientInfo>() {
        Some(info) => Some((Arc::clone(&info.connection), delivery)),
        None => {
            delivery.delivered();
            None
        }
    }
}

/// A body with trailers. Its client has no answer before it has those, so the delivery waits for them.
pub fn with_trailers(content: Bytes, trailers: HeaderMap, pending: Option<Pending>) -> Body {
    Body::new(GrantBody { content: Some(content), trailers: Some(trailers), pending })
}

/// Registers the delivery with its connection when the HTTP layer takes the last frame.
struct GrantBody {
    content: Option<Bytes>,
    trailers: Option<HeaderMap>,
    pending: Option<Pending>,
}

impl GrantBody {
    fn next(&mut self) -> Option<Frame<Bytes>> {
        let content = self.content.take().map(Frame::data);
        content.or_else(|| self.trailers.take().map(Frame::trailers))
    }
}

impl http_body::Body for GrantBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.next();
        if self.trailers.is_none()
            && let Some((connection, delivery)) = self.pending.take()
        {
            connection.register(delivery);
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.as_ref().map_or(0, |content| content.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn delivery() -> (GrantGuard, Arc<AtomicBool>) {
        let lost = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&lost);
        (GrantGuard::new(move || tell.store(true, Ordering::Relaxed)), lost)
    }

    #[test]
    fn untaken_answer_is_lost() {
        let (delivery, lost) = delivery();
        drop(with_trailers(Bytes::from_static(b"{}"), HeaderMap::new(), Some((Arc::default(), delivery))));
        assert!(lost.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn answer_with_trailers_is_delivered_with_them() {
        use http_body::Body as _;
        let (connection, (delivery, lost)) = (Arc::new(Connection::default()), delivery());
        let pending = Some((Arc::clone(&connection), delivery));
        let mut body = with_trailers(Bytes::from_static(b"frame"), HeaderMap::new(), pending);
        let mut next = async || poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert!(next().await.expect("content").expect("sound").is_data());
        connection.wrote();
        connection.flushed();
        assert!(next().await.expect("trailers").expect("sound").is_trailers());
        connection.wrote();
        connection.flushed();
        assert!(next().await.is_none());
        connection.closed();
        assert!(!lost.load(Ordering::Relaxed));
    }
}
