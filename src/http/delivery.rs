//! Whether an answer reached the kernel: a grant whose connection is known closed before that is given back.
//!
//! A dialect answers a grant with [`guarded`]. The server's side of a connection calls `wrote`, `flushed` and `closed`;
//! a connection without a waiting guard pays one relaxed load for each. What else a connection carries from its requests
//! to its end (a session, the word that it shall end) is here too.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Frame, SizeHint};

use super::grpc::connection::ConnectionSession;

/// Something that must know whether its answer was handed to the kernel. Exactly one of the two is called.
pub trait DeliveryGuard: Send + 'static {
    /// The kernel has the whole answer. (Whether the peer reads it, nobody here can know.)
    fn delivered(self: Box<Self>);

    /// The connection ended before that.
    fn lost(self: Box<Self>);
}

pub type Guard = Box<dyn DeliveryGuard>;

/// The answers of one connection that are on their way. Shared by the connection and by the requests on it.
#[derive(Default)]
pub struct ConnState {
    /// Whether any guard waits: read without the lock on every write.
    armed: AtomicBool,
    pending: Mutex<Pending>,
    has_session: AtomicBool,
    /// Somebody wants this connection to end.
    ending: AtomicBool,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Pending {
    /// Taken by the HTTP layer, perhaps still in its buffers.
    registered: Batch,
    /// Something was written since: they are out with the next complete flush.
    written: Batch,
    closed: bool,
    session: Option<Arc<ConnectionSession>>,
}

/// Almost always at most one guard, which then costs no list.
#[derive(Default)]
struct Batch {
    first: Option<Guard>,
    more: Vec<Guard>,
}

impl ConnState {
    /// Registers a guard whose answer has just been taken by the HTTP layer.
    pub fn on_delivery(&self, guard: Guard) {
        let mut pending = self.pending();
        if pending.closed {
            drop(pending);
            return guard.lost();
        }
        pending.registered.push(guard);
        self.armed.store(true, Ordering::Release);
    }

    /// Some bytes went to the kernel.
    pub fn wrote(&self) {
        if self.armed.load(Ordering::Acquire) {
            let mut pending = self.pending();
            let batch = std::mem::take(&mut pending.registered);
            pending.written.append(batch);
        }
    }

    /// All that was given to the connection is with the kernel.
    pub fn flushed(&self) {
        if !self.armed.load(Ordering::Acquire) {
            return;
        }
        let mut pending = self.pending();
        let batch = std::mem::take(&mut pending.written);
        self.armed.store(!pending.registered.is_empty(), Ordering::Release);
        drop(pending);
        batch.each(|guard| guard.delivered());
    }

    /// The connection takes nothing any more. May be called more than once.
    pub fn closed(&self) {
        let mut pending = self.pending();
        pending.closed = true;
        let mut batch = std::mem::take(&mut pending.registered);
        batch.append(std::mem::take(&mut pending.written));
        self.armed.store(false, Ordering::Release);
        let session = pending.session.take();
        drop(pending);
        batch.each(|guard| guard.lost());
        if let Some(session) = session {
            session.connection_ended();
        }
    }

    /// The session of this connection, begun if there is none; `None` when the connection has ended.
    pub fn session(&self, begin: impl FnOnce() -> Arc<ConnectionSession>) -> Option<Arc<ConnectionSession>> {
        let mut pending = self.pending();
        if pending.closed {
            return None;
        }
        if let Some(session) = pending.session.as_ref().filter(|session| !session.has_failed()) {
            return Some(Arc::clone(session));
        }
        self.has_session.store(true, Ordering::Relaxed);
        Some(Arc::clone(pending.session.insert(begin())))
    }

    /// Whether a session lives with this connection, so that it must not end for lack of requests.
    pub fn has_session(&self) -> bool {
        self.has_session.load(Ordering::Relaxed)
    }

    /// Ends the connection from our side.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Whether it shall end; otherwise the waker is called when it does.
    pub fn is_ending(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.ending.load(Ordering::Relaxed)
    }

    /// The same without a waker.
    pub fn shall_end(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Nothing that can panic runs under the lock, so a poisoned one holds sound data.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn push(&mut self, guard: Guard) {
        match self.first {
            None => self.first = Some(guard),
            Some(_) => self.more.push(guard),
        }
    }

    fn append(&mut self, other: Self) {
        other.first.into_iter().chain(other.more).for_each(|guard| self.push(guard));
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn each(self, tell: fn(Guard)) {
        self.first.into_iter().chain(self.more).for_each(tell);
    }
}

/// A body that registers `guard` with its connection when the HTTP layer takes it; dropped untaken, it is lost.
///
/// `content` must not be empty: the HTTP layer never asks for an empty body.
pub fn guarded(content: Bytes, connection: Arc<ConnState>, guard: Guard) -> Body {
    debug_assert!(!content.is_empty(), "an empty body is never taken");
    Body::new(Guarded { content: Some(content), trailers: None, guard: Some((connection, guard)) })
}

/// A body with trailers. Its client has no answer before it has those, so they are what the guard waits for.
pub fn framed(content: Bytes, trailers: HeaderMap, guard: Option<(Arc<ConnState>, Guard)>) -> Body {
    Body::new(Guarded { content: Some(content), trailers: Some(trailers), guard })
}

struct Guarded {
    content: Option<Bytes>,
    trailers: Option<HeaderMap>,
    guard: Option<(Arc<ConnState>, Guard)>,
}

impl Guarded {
    fn next(&mut self) -> Option<Frame<Bytes>> {
        let content = self.content.take().map(Frame::data);
        content.or_else(|| self.trailers.take().map(Frame::trailers))
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.next();
        if self.trailers.is_none()
            && let Some((connection, guard)) = self.guard.take()
        {
            connection.on_delivery(guard);
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

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some((_, guard)) = self.guard.take() {
            guard.lost();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = Arc<Mutex<Vec<&'static str>>>;

    struct Tells(Told);

    impl DeliveryGuard for Tells {
        fn delivered(self: Box<Self>) {
            self.0.lock().expect("sound").push("delivered");
        }

        fn lost(self: Box<Self>) {
            self.0.lock().expect("sound").push("lost");
        }
    }

    fn guard(told: &Told) -> Guard {
        Box::new(Tells(told.clone()))
    }

    fn told(told: &Told) -> Vec<&'static str> {
        std::mem::take(&mut told.lock().expect("sound"))
    }

    #[test]
    fn delivered_means_written_and_then_flushed() {
        let (connection, log) = (ConnState::default(), Told::default());
        connection.on_delivery(guard(&log));
        connection.flushed();
        assert_eq!(told(&log), [""; 0], "nothing was written yet");
        connection.wrote();
        connection.on_delivery(guard(&log));
        connection.flushed();
        assert_eq!(told(&log), ["delivered"], "the second came after the write");
        connection.wrote();
        connection.flushed();
        assert_eq!(told(&log), ["delivered"]);
        connection.closed();
        assert_eq!(told(&log), [""; 0]);
    }

    #[test]
    fn a_closed_connection_loses_what_waits_and_what_comes() {
        let (connection, log) = (ConnState::default(), Told::default());
        connection.on_delivery(guard(&log));
        connection.wrote();
        connection.on_delivery(guard(&log));
        connection.closed();
        assert_eq!(told(&log), ["lost", "lost"]);
        connection.on_delivery(guard(&log));
        assert_eq!(told(&log), ["lost"]);
    }

    #[test]
    fn an_answer_that_nobody_takes_is_lost() {
        let (connection, log) = (Arc::new(ConnState::default()), Told::default());
        drop(guarded(Bytes::from_static(b"{}"), connection, guard(&log)));
        assert_eq!(told(&log), ["lost"]);
    }

    #[tokio::test]
    async fn an_answer_with_trailers_is_delivered_with_them() {
        use http_body::Body as _;
        use std::future::poll_fn;
        let (connection, log) = (Arc::new(ConnState::default()), Told::default());
        let guard = Some((Arc::clone(&connection), guard(&log)));
        let mut body = framed(Bytes::from_static(b"frame"), HeaderMap::new(), guard);
        let mut next = async || poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert!(next().await.expect("content").expect("sound").is_data());
        connection.wrote();
        connection.flushed();
        assert_eq!(told(&log), [""; 0], "the content alone is no answer");
        assert!(next().await.expect("trailers").expect("sound").is_trailers());
        connection.wrote();
        connection.flushed();
        assert_eq!(told(&log), ["delivered"]);
        assert!(next().await.is_none());
    }
}
