//! The request body that a handler leaves unread: the rest is read and discarded, within bounds.
//!
//! Under HTTP/1 the next request follows it. Closing the connection would fail that request, for example one of a proxy
//! with a connection pool, which may not repeat it. So the rest is discarded also when it arrives after the answer. If
//! there is too much of it, the answer announces that the connection closes.
//!
//! Under HTTP/2 dropping an unfinished stream resets it, and a client that is still uploading then never sees an early
//! answer (a missing credential, a wrong method).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use crate::http::header_fields;

/// How much is discarded to keep a connection, or a stream of HTTP/2: more than any client sends before it reads an answer.
const BYTES_MAX: usize = 1 << 20;
/// How much is discarded after the answer, when the client does not wait for it.
const LATE_BYTES_MAX: usize = 16 << 20;
/// The HTTP layer hands over what it has only after it was asked, so that a first look sees nothing.
const LOOKS: u8 = 3;
/// For the rest of a stream of HTTP/2.
const STREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// A body as the HTTP library has it. Under HTTP/1 it is put into a box once, by the layer that watches what is left of it.
pub trait RequestBody: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static {}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static> RequestBody for B {}

/// A body that hands over its unread rest when it is dropped.
struct WatchedBody<B: RequestBody> {
    body: Option<B>,
    /// Takes the rest; without one it is discarded in the background.
    slot: Option<Arc<Slot>>,
}

#[derive(Default)]
struct Slot {
    rest: Mutex<Option<Body>>,
    /// Reading has begun.
    is_begun: AtomicBool,
    /// It broke off, or is malformed.
    is_broken: AtomicBool,
}

/// The rest of a body, once its handler has let go of it.
pub struct UnreadBody {
    slot: Arc<Slot>,
    body: Option<Body>,
    /// The peer sends the body only when it is asked to continue.
    asks_first: bool,
    left: usize,
    /// In a row, that saw nothing.
    looks: u8,
    is_too_much: bool,
    /// Its head says how long it is.
    is_sized: bool,
}

/// The state of a body when its request is answered.
pub enum BodyState {
    /// Read to its end.
    Read,
    /// This is still to come.
    Late(Body),
    /// It will not be read: the connection has to end.
    Unread,
}

/// The body for the handler, and what will be left of it.
pub fn watched(body: impl RequestBody, headers: &HeaderMap) -> (Body, UnreadBody) {
    let slot = Arc::<Slot>::default();
    let rest = UnreadBody {
        slot: Arc::clone(&slot),
        body: None,
        asks_first: header_fields::values(headers, header::EXPECT).next().is_some(),
        left: BYTES_MAX,
        looks: 0,
        is_too_much: false,
        is_sized: body.size_hint().exact().is_some(),
    };
    (Body::new(WatchedBody { body: Some(body), slot: Some(slot) }), rest)
}

/// The body for a handler under HTTP/2.
pub fn drained_on_drop(body: Body) -> Body {
    Body::new(WatchedBody { body: Some(body), slot: None })
}

impl UnreadBody {
    /// Throws away what is there, while the handler is not done.
    pub fn read_on(&mut self, context: &mut Context<'_>) {
        if self.body.is_none() && !self.is_too_much {
            self.body = self.slot.rest.lock().take();
            self.is_too_much = self.body.as_ref().is_some_and(|body| self.refuses(body));
        }
        while !self.is_too_much
            && let Some(body) = &mut self.body
        {
            match Pin::new(body).poll_frame(context) {
                Poll::Pending => return,
                Poll::Ready(None) => self.body = None,
                Poll::Ready(Some(Ok(frame))) => {
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    self.is_too_much = length > self.left;
                    self.left = self.left.saturating_sub(length);
                    self.looks = 0;
                }
                Poll::Ready(Some(Err(_))) => self.is_too_much = true,
            }
        }
    }

    /// How the body stands, once what had come was read.
    pub fn poll_state(&mut self, context: &mut Context<'_>) -> Poll<BodyState> {
        self.read_on(context);
        if self.is_too_much || self.slot.is_broken.load(Relaxed) {
            return Poll::Ready(BodyState::Unread);
        }
        if self.body.is_some() && self.looks < LOOKS {
            self.looks += 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // The length of a chunked stream that has begun is unknown.
        let is_endless = !self.is_sized && self.left < BYTES_MAX;
        Poll::Ready(match self.body.take() {
            None => BodyState::Read,
            Some(_) if is_endless => BodyState::Unread,
            Some(body) => BodyState::Late(body),
        })
    }

    fn refuses(&self, body: &Body) -> bool {
        let length = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        length > self.left || (self.asks_first && !self.slot.is_begun.load(Relaxed))
    }
}

/// Discards the rest of a late body under HTTP/1.
pub async fn discard_late(rest: Body) {
    discard(rest, LATE_BYTES_MAX).await;
}

async fn discard(mut rest: Body, bytes_max: usize) {
    let mut left = bytes_max;
    while let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut rest).poll_frame(context)).await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        if length > left {
            return;
        }
        left -= length;
    }
}

impl<B: RequestBody> http_body::Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.slot.iter().for_each(|slot| slot.is_begun.store(true, Relaxed));
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            self.body = None;
        }
        if let Poll::Ready(Some(Err(_))) = frame {
            self.slot.iter().for_each(|slot| slot.is_broken.store(true, Relaxed));
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), B::size_hint)
    }
}

impl<B: RequestBody> Drop for WatchedBody<B> {
    fn drop(&mut self) {
        let Some(rest) = self.body.take().filter(|body| !body.is_end_stream()).map(Body::new) else { return };
        if let Some(slot) = &self.slot {
            *slot.rest.lock() = Some(rest);
        // Outside a runtime nothing is served, and no client waits for an answer.
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(STREAM_TIMEOUT, discard(rest, BYTES_MAX)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use tokio::sync::mpsc;

    /// A body of so many chunks that reports each one as it is read.
    fn body(chunks: usize, read: mpsc::UnboundedSender<usize>) -> Body {
        Body::from_stream(stream::iter(0..chunks).map(move |at| {
            // The test may have stopped listening.
            let _ = read.send(at);
            Ok::<_, std::io::Error>(Bytes::from(vec![0; 64 << 10]))
        }))
    }

    #[tokio::test]
    async fn unread_body_is_drained_up_to_its_bound() {
        for (chunks, expected) in [(3, 3), (1_000, BYTES_MAX / (64 << 10) + 1)] {
            let (read, mut reads) = mpsc::unbounded_channel();
            drop(drained_on_drop(body(chunks, read)));
            let mut count = 0;
            while reads.recv().await.is_some() {
                count += 1;
            }
            assert_eq!(count, expected);
        }
    }
}
