//! Stdin, whose end is told to the calls that wait: the protocol's library would let them wait on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;

/// A reader that says when it has ended.
pub struct UntilEnd<R> {
    inner: R,
    close: watch::Sender<bool>,
}

impl<R> UntilEnd<R> {
    pub fn new(inner: R, close: watch::Sender<bool>) -> UntilEnd<R> {
        UntilEnd { inner, close }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for UntilEnd<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        if read.is_err() || buf.filled().len() == before {
            self.close.send_replace(true);
        }
        Poll::Ready(read)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn end_of_stdin_is_told_once_all_is_read() {
        let (close, closing) = watch::channel(false);
        let mut stdin = UntilEnd::new(&b"ab"[..], close);
        let mut byte = [0; 2];
        stdin.read_exact(&mut byte).await.expect("two bytes");
        assert!(!*closing.borrow());
        assert_eq!(stdin.read(&mut byte).await.expect("the end"), 0);
        assert!(*closing.borrow());
    }
}
