//! Whether an answer reached the kernel: a grant whose connection is known closed before that is given back.
//!
//! A dialect answers a grant with [`guarded`]. The server's side of a connection calls `wrote`, `flushed` and `closed`;
//! a connection without a waiting guard pays one relaxed load for each.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// Something that must know whether its answer was handed to the kernel. Exactly one of the two is called.
pub trait DeliveryGuard: Send + 'static {
    /// The kernel has the whole answer. (Whether the peer reads it, nobody here can know.)
    fn delivered(self: Box<Self>);

    /// The connection ended before that.
    fn lost(self: Box<Self>);
}

type Guard = Box<dyn DeliveryGuard>;

/// The answers of one connection that are on their way. Shared by the connection and by the requests on it.
#[derive(Default)]
pub struct ConnState {
    /// Whether any guard waits: read without the lock on every write.
    armed: AtomicBool,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    /// Taken by the HTTP layer, perhaps still in its buffers.
    registered: Batch,
    /// Something was written since: they are out with the next complete flush.
    written: Batch,
    closed: bool,
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
        drop(pending);
        batch.each(|guard| guard.lost());
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
    Body::new(Guarded { content: Some(content), connection, guard: Some(guard) })
}

struct Guarded {
    content: Option<Bytes>,
    connection: Arc<ConnState>,
    guard: Option<Guard>,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(guard) = self.guard.take() {
            self.connection.on_delivery(guard);
        }
        Poll::Ready(self.content.take().map(|content| Ok(Frame::data(content))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.as_ref().map_or(0, |content| content.len() as u64))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
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
}
