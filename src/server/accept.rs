//! From an accepted socket to a tracked connection and its service, or to a quick refusal. TLS, where there is any, comes
//! between [`EdgeAcceptor`] and [`HttpAcceptor`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::accept::Accept;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::edge::{Edge, EdgeContext};
use super::http2::Guarded;
use super::link::{Link, Links};
use super::parse_errors::{self, PROXY_PROTOCOL_ADVICE, ParseErrorStream};
use super::proxy_header::{ProxyHeaderError, is_proxy_header};
use super::tls::Authorities;
use super::tracked::Tracked;
use super::transport::Transport;
use crate::access::AddressPool;
use crate::config::Scheme;
use crate::http::address_limits;
use crate::telemetry::Metrics;

/// How long a refused client may take to read its refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);

/// How long we wait for the byte that tells TLS from plain HTTP.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(2);

const WRONG_SCHEME: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n",
    "content-length: 77\r\n\r\n",
    "Client sent an HTTP request to an HTTPS server. Use https:// with this port.\n"
);

/// The error of a connection that is refused before its handshake.
const REFUSED_EARLY: io::ErrorKind = io::ErrorKind::ConnectionRefused;

/// A boxed [`Accept::Future`].
type Accepting<T, S> = Pin<Box<dyn Future<Output = io::Result<(T, S)>> + Send>>;

/// The acceptor of one listener.
#[derive(Clone)]
pub struct EdgeAcceptor<F> {
    pub transport: Transport,
    pub links: Arc<Links>,
    pub context: Arc<EdgeContext>,
    /// Makes the service of a connection.
    pub edge: F,
}

impl<F, L> Accept<TcpStream, Router> for EdgeAcceptor<F>
where
    F: Fn(Router, Arc<Link>, Arc<EdgeContext>) -> Edge<L> + Clone + Send + Sync + 'static,
    L: Send + 'static,
{
    type Stream = Tracked;
    type Service = Edge<L>;
    type Future = Accepting<Tracked, Edge<L>>;

    fn accept(&self, mut stream: TcpStream, router: Router) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let peer = match this.transport.open(&mut stream).await {
                Ok(peer) => peer,
                Err(ProxyHeaderError::Io(error)) => return Err(error),
                Err(error) => return Err(this.refuse_early(stream, 400, "Bad Request", &error.to_string()).await),
            };
            match this.links.admit(peer, this.context.trusted.trust(peer.ip)) {
                Ok(link) => {
                    if this.transport.scheme == Scheme::Https {
                        match first_bytes(&stream).await {
                            begin if is_proxy_header(&begin) => {
                                let refusal = parse_errors::refusal(400, "Bad Request", PROXY_PROTOCOL_ADVICE);
                                return Err(refuse(stream, &refusal).await);
                            }
                            // The letter of a method instead of a TLS record.
                            begin if begin.first().is_some_and(u8::is_ascii_uppercase) => {
                                return Err(refuse(stream, WRONG_SCHEME.as_bytes()).await);
                            }
                            _ => {}
                        }
                    }
                    let edge = (this.edge)(router, Arc::clone(&link), this.context);
                    Ok((Tracked::new(stream, link), edge))
                }
                Err(pool) => {
                    this.links.metrics.connections_refused.inc();
                    address_limits::log_refusal(&this.links.address(peer.ip), pool, (this.context.clock)());
                    Err(this.refuse_over_limit(stream, pool).await)
                }
            }
        })
    }
}

impl<F> EdgeAcceptor<F> {
    /// Refuses a connection over the limits.
    async fn refuse_over_limit(&self, stream: TcpStream, pool: AddressPool) -> io::Error {
        self.refuse_early(stream, 503, "Service Unavailable", &format!("{} reached", pool.config_key())).await
    }

    /// Sends an error body only on plain HTTP and while few refusals are pending.
    async fn refuse_early(&self, stream: TcpStream, status: u16, title: &str, detail: &str) -> io::Error {
        let refusing = Arc::clone(&self.links.refusing);
        if self.transport.scheme == Scheme::Http
            && let Ok(_permit) = refusing.try_acquire_owned()
        {
            return refuse(stream, &parse_errors::refusal(status, title, detail)).await;
        }
        io::Error::new(REFUSED_EARLY, detail)
    }
}

/// Notes the certificate that a client shows in the handshake that this acceptor makes. Counts its failures, and logs them
/// at `debug`: any port scanner causes them.
#[derive(Clone)]
pub struct Handshake<A> {
    pub handshake: A,
    pub metrics: Arc<Metrics>,
    pub authorities: Arc<Authorities>,
}

impl<A, L> Accept<TcpStream, Router> for Handshake<A>
where
    A: Accept<TcpStream, Router, Stream = TlsStream<Tracked>, Service = Edge<L>>,
    A::Future: Send + 'static,
    L: Send + 'static,
{
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = Accepting<A::Stream, A::Service>;

    fn accept(&self, stream: TcpStream, router: Router) -> Self::Future {
        // It is unknown only where the peer is gone already.
        let peer = stream.peer_addr().map_or_else(|_| "?".to_owned(), |peer| peer.to_string());
        let accepted = self.handshake.accept(stream, router);
        let (metrics, authorities) = (Arc::clone(&self.metrics), Arc::clone(&self.authorities));
        Box::pin(async move {
            let accepted = accepted.await.inspect_err(|error| {
                if error.kind() != REFUSED_EARLY {
                    metrics.tls_failures.inc();
                    tracing::debug!(peer, %error, "the TLS handshake with {peer} has failed: {error}");
                }
            });
            let (stream, edge) = accepted?;
            if let Some(certificate) = authorities.certificate(stream.get_ref().1) {
                edge.link().connection.show_certificate(certificate);
            }
            Ok((stream, edge))
        })
    }
}

/// Wraps connections as the HTTP library sees them: empty refusals get a body, and frames of HTTP/2 are counted.
#[derive(Clone)]
pub struct HttpAcceptor<A> {
    pub inner: A,
    pub header_bytes_max: usize,
}

impl<I, S, A, L> Accept<I, S> for HttpAcceptor<A>
where
    A: Accept<I, S, Service = Edge<L>>,
    A::Future: Send + 'static,
    L: Send + 'static,
{
    type Stream = Guarded<ParseErrorStream<A::Stream>>;
    type Service = Edge<L>;
    type Future = Accepting<Self::Stream, Edge<L>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepted = self.inner.accept(stream, service);
        let header_bytes_max = self.header_bytes_max;
        Box::pin(async move {
            let (stream, edge) = accepted.await?;
            let stream = ParseErrorStream::new(stream, header_bytes_max);
            Ok((Guarded::new(stream, edge.link(), edge.clock()), edge))
        })
    }
}

/// What the client sends first, as far as it came at once: enough to tell TLS from what is none. Of a client that sends
/// nothing it is nothing, and the handshake's own bound is left to it.
async fn first_bytes(stream: &TcpStream) -> Vec<u8> {
    let mut first = [0; 16];
    let peeked = tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut first)).await;
    let count = peeked.map_or(0, |peeked| peeked.unwrap_or(0));
    first.get(..count).unwrap_or_default().to_vec()
}

/// Tells the client why, if it cares to read it.
async fn refuse(mut stream: TcpStream, answer: &[u8]) -> io::Error {
    let tell = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        // What the client has sent must be read, or closing makes its kernel throw the refusal away.
        let mut waste = [0; 1024];
        while stream.read(&mut waste).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether the client reads it is its own affair.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, tell).await;
    io::Error::other("refused")
}

#[cfg(test)]
mod tests {
    use super::WRONG_SCHEME;

    #[test]
    fn wrong_scheme_answer_has_its_content_length() {
        let (head, body) = WRONG_SCHEME.split_once("\r\n\r\n").expect("head and body");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
