//! The stream of a connection as the HTTP library sees it, TLS removed: frames are counted, and read in small turns.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use super::super::edge::Clock;
use super::super::link::Link;
use super::budget::Budget;
use super::frames::Frames;

/// A byte can stand for a header field of a hundred: so much is read at most before what was read is looked at.
const READ_BYTES_MAX: usize = 8 << 10;
/// One unit of a task's turn, of which it has 128, is spent for so many bytes.
const BYTES_PER_UNIT: usize = 128;

/// A connection whose frames are counted.
pub struct Guarded<S> {
    inner: S,
    link: Arc<Link>,
    clock: Clock,
    frames: Frames,
    budget: Budget,
    /// Units of the task's turn that are to be spent before the next read.
    owed: usize,
}

impl<S> Guarded<S> {
    pub fn new(inner: S, link: Arc<Link>, clock: Clock) -> Self {
        Self { inner, link, clock, frames: Frames::new(), budget: Budget::new(clock()), owed: 0 }
    }

    /// Lets the others have their turn where this task has read enough in its own.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.owed > 0 {
            match coop::poll_proceed(context) {
                Poll::Ready(unit) => unit.made_progress(),
                Poll::Pending => {
                    self.owed = 0;
                    return Poll::Pending;
                }
            }
            self.owed -= 1;
        }
        Poll::Ready(())
    }

    /// Counts what was read; an error ends the connection.
    fn count(&mut self, read: &[u8]) -> io::Result<()> {
        let (mut flooded, budget) = (false, &mut self.budget);
        self.frames.read(read, |frame| flooded |= !budget.admit(frame));
        self.owed = read.len().div_ceil(BYTES_PER_UNIT);
        if flooded {
            self.link.ends_for_a_flood((self.clock)());
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "a flood of frames"));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.frames.are_there() {
            return Pin::new(&mut this.inner).poll_read(context, buffer);
        }
        ready!(this.poll_turn(context));
        let before = buffer.filled().len();
        if buffer.remaining() > READ_BYTES_MAX {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(READ_BYTES_MAX));
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut part))?;
            let count = part.filled().len();
            buffer.advance(count);
        } else {
            ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        }
        this.budget.refill((this.clock)());
        Poll::Ready(this.count(&buffer.filled()[before..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.budget.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, slices))?;
        self.budget.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
