//! The byte stream of a connection, under TLS: it sees when bytes reach the kernel, and ends when the sweep says so.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::link::Link;

/// What a peer may still send after our last byte before we stop reading it.
const LINGER_BYTES_MAX: usize = 16 << 20;

/// How long the end of a connection may take on the other side, and how often it is asked for: no event tells it.
const END_MAX: Duration = Duration::from_secs(2);
const END_INTERVAL: Duration = Duration::from_millis(5);

/// A TCP connection and what is known about it.
pub struct Tracked {
    stream: TcpStream,
    link: Arc<Link>,
    closing: Closing,
}

/// How far the end of the connection has come.
enum Closing {
    Open,
    /// Our side is shut; bytes that may still be thrown away.
    Lingering(usize),
    Done,
}

impl Tracked {
    pub fn new(stream: TcpStream, link: Arc<Link>) -> Self {
        Self { stream, link, closing: Closing::Open }
    }

    /// Whether the peer has ended the connection, or its side of it: also where that is behind bytes that nobody has read.
    pub fn is_ended_by_peer(&self) -> bool {
        let mut asked = [PollFd::new(&self.stream, PollFlags::RDHUP)];
        matches!(poll(&mut asked, Some(&Timespec::default())), Ok(1..))
    }

    /// Whether the peer has refused some of what was sent. To be asked after both sides have ended: a peer that had ended
    /// its own side alone takes the rest, and acknowledges our end. One that had closed the connection resets it.
    pub async fn is_refused(&self) -> bool {
        let is_over = async {
            // A socket has no peer any more when its connection is over.
            while self.stream.peer_addr().is_ok() {
                tokio::time::sleep(END_INTERVAL).await;
            }
        };
        // A peer that takes longer may still get its answers.
        let _ = timeout(END_MAX, is_over).await;
        !matches!(self.stream.take_error(), Ok(None))
    }

    fn note_write(&self, context: &Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(0)) => {}
            Poll::Pending if self.link.is_expired(context.waker()) => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending => self.link.stalls(),
            Poll::Ready(Ok(_)) => {
                self.link.wrote_some();
                self.link.connection.wrote();
            }
            Poll::Ready(Err(_)) => self.link.connection.closed(),
        }
        result
    }

    /// Throws away what the peer still sends, until it ends, has sent too much, or the sweep ends the connection.
    fn poll_linger(&mut self, context: &mut Context<'_>, mut left: usize) -> Poll<io::Result<()>> {
        let mut waste = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut waste);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && left > 0 => {
                    left = left.saturating_sub(buffer.filled().len());
                }
                Poll::Pending if !self.link.is_expired(context.waker()) => {
                    self.closing = Closing::Lingering(left);
                    return Poll::Pending;
                }
                _ => {
                    self.closing = Closing::Done;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

/// A stream over a TCP connection, with TLS or without.
pub trait TrackedStream: AsyncRead + AsyncWrite + Unpin {
    fn tracked(&self) -> &Tracked;
}

impl TrackedStream for Tracked {
    fn tracked(&self) -> &Tracked {
        self
    }
}

impl TrackedStream for TlsStream<Tracked> {
    fn tracked(&self) -> &Tracked {
        self.get_ref().0
    }
}

impl AsyncRead for Tracked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        match result {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => self.link.read_some(),
            // For the layers above an expired connection looks as if the peer had closed it.
            Poll::Pending if self.link.is_expired(context.waker()) => return Poll::Ready(Ok(())),
            _ => {}
        }
        result
    }
}

impl AsyncWrite for Tracked {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_write(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_write(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Each layer above flushes only after it has written all it had, so this is where an answer is out.
        let result = Pin::new(&mut self.stream).poll_flush(context);
        if let Poll::Ready(Ok(())) = result {
            self.link.connection.flushed();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.closing {
            Closing::Open => {
                let result = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
                self.link.connection.closed();
                if result.is_err() || !self.link.should_linger() || self.link.has_expired() {
                    self.closing = Closing::Done;
                    return Poll::Ready(result);
                }
                self.link.lingers();
                self.poll_linger(context, LINGER_BYTES_MAX)
            }
            Closing::Lingering(left) => self.poll_linger(context, left),
            Closing::Done => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.link.connection.closed();
    }
}
