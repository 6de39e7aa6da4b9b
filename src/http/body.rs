//! Reads a request body within its bounds. Each dialect formats the refusal itself.

use super::code::Code;
use super::failure::Failure;
use axum::http::{HeaderMap, header};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use tokio::time::{Sleep, sleep};

/// Refuses compressed bodies.
pub fn check_encoding(headers: &HeaderMap) -> Result<(), Failure> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
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
    /// The client went away, or its framing is broken; answered 400 where anybody still listens.
    #[error("the body broke off")]
    Disconnected,
}

/// The whole body, or why not.
pub async fn read(body: Body, limits: BodyLimits) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let too_large = BodyError::TooLarge { limit_bytes: limits.bytes_max };
    if body.size_hint().lower() > limits.bytes_max {
        return Err(too_large);
    }
    let (mut body, mut timer) = (body, BodyTimer::new(limits.timeout));
    let mut chunks = Chunks::default();
    loop {
        match poll_fn(|context| next_chunk(&mut body, &mut timer, context)).await? {
            Some(chunk) if chunks.len() + chunk.len() as u64 > limits.bytes_max => return Err(too_large),
            Some(chunk) => chunks.push(chunk),
            None => return Ok(chunks.finish()),
        }
        if body.is_end_stream() {
            return Ok(chunks.finish());
        }
    }
}

fn next_chunk(
    body: &mut Body,
    timer: &mut BodyTimer,
    context: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, BodyError>> {
    loop {
        match Pin::new(&mut *body).poll_frame(context) {
            Poll::Ready(None) => return Poll::Ready(Ok(None)),
            Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(BodyError::Disconnected)),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(chunk) => return Poll::Ready(Ok(Some(chunk))),
                Err(_trailers) => {}
            },
            Poll::Pending => return timer.poll(context).map(Err),
        }
    }
}

/// The bound on time. The HTTP layer hands a body over only after it was asked for, so the first Pending means nothing:
/// asking once more before a timer is made spares almost every request the timer.
struct BodyTimer {
    timeout: Duration,
    asked: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl BodyTimer {
    fn new(timeout: Duration) -> Self {
        Self { timeout, asked: false, timer: None }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        if !std::mem::replace(&mut self.asked, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let timeout = self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        timer.as_mut().poll(context).map(|()| BodyError::Timeout { timeout })
    }
}

/// Chunks put together; a single one, the usual case, is not copied.
#[derive(Default)]
struct Chunks {
    first: Bytes,
    joined: BytesMut,
}

impl Chunks {
    fn len(&self) -> u64 {
        (self.first.len() + self.joined.len()) as u64
    }

    fn push(&mut self, chunk: Bytes) {
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = chunk;
            return;
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&chunk);
    }

    fn finish(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};

    const LIMITS: BodyLimits = BodyLimits { bytes_max: 8, timeout: Duration::from_millis(20) };

    fn chunks(parts: &'static [&'static str]) -> Body {
        Body::from_stream(stream::iter(parts).map(|part| Ok::<_, std::io::Error>(Bytes::from_static(part.as_bytes()))))
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

    #[tokio::test]
    async fn stalled_body_times_out() {
        let stuck = chunks(&["12"]).into_data_stream().chain(stream::pending());
        let timeout = LIMITS.timeout;
        assert_eq!(read(Body::from_stream(stuck), LIMITS).await, Err(BodyError::Timeout { timeout }));
    }

    #[tokio::test]
    async fn broken_body_is_an_error_of_its_own() {
        let broken = stream::iter([Ok(Bytes::from("12")), Err(std::io::Error::other("gone"))]);
        assert_eq!(read(Body::from_stream(broken), LIMITS).await, Err(BodyError::Disconnected));
    }

    #[test]
    fn compressed_bodies_are_refused() {
        let with =
            |value: &'static str| HeaderMap::from_iter([(header::CONTENT_ENCODING, value.parse().expect("a value"))]);
        assert_eq!(check_encoding(&HeaderMap::new()), Ok(()));
        assert_eq!(check_encoding(&with("identity")), Ok(()));
        assert!(check_encoding(&with("gzip")).expect_err("refused").detail.contains("uncompressed"));
    }
}
