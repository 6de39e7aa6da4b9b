//! Gives a body to the errors that hyper answers by itself when it cannot parse a request; its own answers are empty.
//!
//! The empty answers are recognised as they are written, above TLS, because hyper offers no hook for them. Our own
//! answers with these statuses always have a body, and so a content type.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::proxy_header::is_proxy_header;
use crate::http::problem::{PROBLEM_JSON, document};
use crate::http::{Code, Failure};

pub const PROXY_PROTOCOL_ADVICE: &str = "the connection begins with a PROXY protocol header, which this listener does not \
     read: turn it off in the load balancer (send-proxy, proxy_protocol), or add ?proxy_protocol to the URL in listen; in both \
     cases name the balancer in server.trusted_proxies, so that its word about clients counts";

/// A whole HTTP/1.1 answer that closes the connection.
pub fn refusal(status: u16, title: &str, detail: &str) -> Vec<u8> {
    let body = serde_json::json!({"type": "about:blank", "title": title, "status": status, "detail": detail});
    whole_answer(status, title, &body.to_string())
}

fn whole_answer(status: u16, title: &str, body: &str) -> Vec<u8> {
    let body = format!("{body}\n");
    let head = format!(
        "HTTP/1.1 {status} {title}\r\ncontent-type: {PROBLEM_JSON}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// How many header fields a request may have. The HTTP library counts them under HTTP/1.
pub const FIELDS_MAX: usize = 100;

/// Under HTTP/1 it is not known which of the two limits is exceeded.
pub fn head_too_large(bytes_max: usize) -> Failure {
    let detail =
        format!("the request line and headers must be at most {bytes_max} bytes long, in at most {FIELDS_MAX} fields");
    Failure::new(Code::HeadTooLarge, detail).with_limit(bytes_max as u64).set_by("server.header_bytes_max")
}

/// A connection whose empty error answers are replaced.
pub struct ParseErrorStream<S> {
    inner: S,
    header_bytes_max: usize,
    /// Something has been read.
    begun: bool,
    /// It was the header of the PROXY protocol.
    proxied: bool,
    /// What is written in place of an empty refusal, and how much of it has been.
    refusal: Option<(Vec<u8>, usize)>,
}

impl<S> ParseErrorStream<S> {
    pub fn new(inner: S, header_bytes_max: usize) -> Self {
        Self { inner, header_bytes_max, begun: false, proxied: false, refusal: None }
    }

    /// What replaces these bytes, if they are an empty error answer.
    fn answer_for(&self, head: &[u8]) -> Option<Vec<u8>> {
        let status = head.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        let has = |needle: &[u8]| head.windows(needle.len()).any(|part| part.eq_ignore_ascii_case(needle));
        if !matches!(status, b"400" | b"414" | b"431")
            || !has(b"\r\ncontent-length: 0\r\n")
            || has(b"\r\ncontent-type:")
        {
            return None;
        }
        Some(match status {
            b"431" => {
                let document = document(&head_too_large(self.header_bytes_max));
                whole_answer(431, "Request Header Fields Too Large", &String::from_utf8_lossy(&document))
            }
            b"414" => refusal(414, "URI Too Long", &head_too_large(self.header_bytes_max).detail),
            _ if self.proxied => refusal(400, "Bad Request", PROXY_PROTOCOL_ADVICE),
            _ => refusal(
                400,
                "Bad Request",
                "this is no HTTP request that can be read: see its request line and headers",
            ),
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ParseErrorStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let read = &buffer.filled()[before..];
        if !self.begun && !read.is_empty() {
            self.begun = true;
            self.proxied = is_proxy_header(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> ParseErrorStream<S> {
    /// Writes a refusal in place of the whole of `buffer`; `None` where there is none to be written.
    fn poll_refusal(&mut self, context: &mut Context<'_>, buffer: &[u8]) -> Poll<Option<io::Result<usize>>> {
        if self.refusal.is_none() {
            self.refusal = self.answer_for(buffer).map(|answer| (answer, 0));
        }
        let Some((answer, written)) = &mut self.refusal else { return Poll::Ready(None) };
        while *written < answer.len() {
            match ready!(Pin::new(&mut self.inner).poll_write(context, &answer[*written..])) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::WriteZero.into()))),
                Ok(count) => *written += count,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        self.refusal = None;
        Poll::Ready(Some(Ok(buffer.len())))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ParseErrorStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(self.poll_refusal(context, buffer)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(&mut self.inner).poll_write(context, buffer),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A refusal without a body is a single piece.
        let mut pieces = buffers.iter().filter(|piece| !piece.is_empty());
        if let (Some(piece), None) = (pieces.next(), pieces.next())
            && let Some(written) = ready!(self.poll_refusal(context, piece))
        {
            return Poll::Ready(written);
        }
        Pin::new(&mut self.inner).poll_write_vectored(context, buffers)
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const EMPTY: &[u8] =
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

    async fn written(write: &[u8]) -> String {
        let (ours, mut theirs) = tokio::io::duplex(7);
        let mut parse_errors = ParseErrorStream::new(ours, 8192);
        let bytes = write.to_vec();
        let writing = tokio::spawn(async move { parse_errors.write_all(&bytes).await });
        let mut read = String::new();
        theirs.read_to_string(&mut read).await.expect("text");
        writing.await.expect("it ends").expect("it is written");
        read
    }

    #[tokio::test]
    async fn only_empty_parse_errors_get_a_body() {
        let told = written(EMPTY).await;
        let (head, body) = told.split_once("\r\n\r\n").expect("head and body");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{told}");
        assert!(body.contains("8192") && body.contains("server.header_bytes_max"), "{told}");
        for other in [
            &b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 431",
            b"{}",
        ] {
            assert_eq!(written(other).await.as_bytes(), other);
        }
    }
}
