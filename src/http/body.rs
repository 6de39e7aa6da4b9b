//! Reads a request body within its bounds. Each dialect formats the refusal itself.

use super::code::Code;
use super::failure::Failure;
use super::header_fields;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::sleep;

pub fn check_encoding(headers: &HeaderMap) -> Result<(), Failure> {
    let mut encodings = header_fields::values(headers, header::CONTENT_ENCODING);
    let compressed = encodings.find(|value| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    let Some(value) = compressed else { return Ok(()) };
    let shown: String = String::from_utf8_lossy(value.as_bytes()).chars().take(32).collect();
    let detail =
        format!("Content-Encoding: {shown} is not understood: send the body uncompressed, without this header");
    Err(Failure { field: Some("Content-Encoding"), ..Failure::new(Code::UnsupportedMediaType, detail) })
}

/// The bounds on a body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    pub bytes_max: u64,
    /// For the whole body.
    pub timeout: Duration,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Answered 413.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: u64 },
    /// Answered 408.
    #[error("the body did not arrive within {}", humantime::format_duration(*.timeout))]
    Timeout { timeout: Duration },
    /// The client went away, or its framing is broken; answered 400 if the connection still stands.
    #[error("the body broke off")]
    Disconnected,
}

/// `http-body-util`'s `Limited` and `Collect` give the same; they keep a list of chunks and trailers, which costs a request
/// of one chunk 2 % of its instructions.
pub async fn read(body: Body, limits: BodyLimits) -> Result<Bytes, BodyError> {
    let mut whole = PartialBody { body, bytes_max: limits.bytes_max, first: Bytes::new(), joined: BytesMut::new() };
    if whole.body.size_hint().lower() > limits.bytes_max {
        return Err(whole.too_large());
    }
    let (mut asked, mut timer) = (false, None);
    poll_fn(|context| match whole.poll(context) {
        Poll::Ready(read) => Poll::Ready(read),
        // The HTTP layer hands a body over only after it was asked for, so the first Pending means nothing: asking once
        // more before a timer is made spares almost every request the timer.
        Poll::Pending if !std::mem::replace(&mut asked, true) => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => {
            let timer = timer.get_or_insert_with(|| Box::pin(sleep(limits.timeout)));
            timer.as_mut().poll(context).map(|()| Err(BodyError::Timeout { timeout: limits.timeout }))
        }
    })
    .await?;
    Ok(whole.into_bytes())
}

/// A body as far as it was read.
struct PartialBody {
    body: Body,
    bytes_max: u64,
    /// A single chunk, the usual case, is not copied.
    first: Bytes,
    /// All chunks, if there are more.
    joined: BytesMut,
}

impl PartialBody {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while !self.body.is_end_stream() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame.into_data().map_or(Ok(()), |chunk| self.push(chunk))?,
                Some(Err(_)) => return Poll::Ready(Err(BodyError::Disconnected)),
                None => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn push(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        let length = self.first.len() + self.joined.len() + chunk.len();
        if length as u64 > self.bytes_max {
            return Err(self.too_large());
        }
        if length == chunk.len() {
            self.first = chunk;
        } else {
            if self.joined.is_empty() {
                self.joined.extend_from_slice(&std::mem::take(&mut self.first));
            }
            self.joined.extend_from_slice(&chunk);
        }
        Ok(())
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }

    fn too_large(&self) -> BodyError {
        BodyError::TooLarge { limit_bytes: self.bytes_max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use http_body::Frame;

    const LIMITS: BodyLimits = BodyLimits { bytes_max: 8, timeout: Duration::from_millis(20) };

    fn chunks(parts: &'static [&'static str]) -> Body {
        Body::from_stream(stream::iter(parts).map(|part| Ok::<_, std::io::Error>(Bytes::from_static(part.as_bytes()))))
    }

    #[tokio::test]
    async fn limit_counts_all_chunks() {
        assert_eq!(read(chunks(&["123", "4", "5678"]), LIMITS).await, Ok(Bytes::from("12345678")));
        let too_large = Err(BodyError::TooLarge { limit_bytes: 8 });
        assert_eq!(read(chunks(&["1234", "567", "89"]), LIMITS).await, too_large);
        assert_eq!(read(chunks(&["1"; 9]), LIMITS).await, too_large);
        assert_eq!(read(chunks(&["1"; 8]), LIMITS).await, Ok(Bytes::from("11111111")));
    }

    #[tokio::test]
    async fn trailers_are_left_out_and_an_error_ends_the_body() {
        let data = || Ok(Frame::data(Bytes::from_static(b"12")));
        let frames = |last| Body::new(http_body_util::StreamBody::new(stream::iter([data(), data(), last])));
        let trailers = Ok(Frame::trailers(HeaderMap::new()));
        assert_eq!(read(frames(trailers), LIMITS).await, Ok(Bytes::from("1212")));
        assert_eq!(read(frames(Err(std::io::Error::other("broken"))), LIMITS).await, Err(BodyError::Disconnected));
    }

    #[tokio::test]
    async fn chunks_are_joined_up_to_the_limit() {
        assert_eq!(read(Body::empty(), LIMITS).await, Ok(Bytes::new()));
        assert_eq!(read(Body::from("12345678"), LIMITS).await, Ok(Bytes::from("12345678")));
        assert_eq!(read(chunks(&["12", "", "345", "678"]), LIMITS).await, Ok(Bytes::from("12345678")));
        let too_large = Err(BodyError::TooLarge { limit_bytes: 8 });
        assert_eq!(read(Body::from("123456789"), LIMITS).await, too_large);
        assert_eq!(read(chunks(&["1234", "56789"]), LIMITS).await, too_large);
    }
}
