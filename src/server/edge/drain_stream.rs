//! Drains the request body that a handler leaves unread on an HTTP/2 stream.
//!
//! Dropping an unfinished stream resets it, and a client that is still uploading then never sees an early answer (a
//! missing credential, a wrong method). So the rest is read and discarded, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use futures_util::StreamExt;
use http_body::{Body as _, Frame, SizeHint};

/// More than any client sends before it reads an answer.
const BYTES_MAX: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(5);

/// A body whose rest is read when it is dropped.
pub struct DrainedOnDrop {
    body: Option<Body>,
}

impl DrainedOnDrop {
    pub fn new(body: Body) -> Self {
        Self { body: Some(body) }
    }
}

impl http_body::Body for DrainedOnDrop {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            self.body = None;
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for DrainedOnDrop {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !body.is_end_stream());
        // Outside a runtime nothing is served, and no client waits for an answer.
        if let (Some(rest), Ok(runtime)) = (rest, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(TIMEOUT, discard(rest)));
        }
    }
}

async fn discard(rest: Body) {
    let mut chunks = rest.into_data_stream();
    let mut left = BYTES_MAX;
    while let Some(Ok(chunk)) = chunks.next().await
        && chunk.len() <= left
    {
        left -= chunk.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
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
            drop(Body::new(DrainedOnDrop::new(body(chunks, read))));
            let mut count = 0;
            while reads.recv().await.is_some() {
                count += 1;
            }
            assert_eq!(count, expected);
        }
    }
}
