//! From an accepted socket to a tracked connection and its service, or to a quick refusal.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::accept::Accept;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::edge::{Edge, Surroundings};
use super::handshake::TOO_MANY as TOO_MANY_KIND;
use super::link::Links;
use super::socket;
use super::tracked::Tracked;
use crate::config::listen::Scheme;
use crate::dialects::peer::ClientAddr;

/// How long a refused client may take to read its refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);

/// How long we wait for the byte that tells TLS from plain HTTP.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(2);

const WRONG_SCHEME: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n",
    "content-length: 77\r\n\r\n",
    "Client sent an HTTP request to an HTTPS server. Use https:// with this port.\n"
);

const TOO_MANY: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n",
    "connection: close\r\ncontent-length: 108\r\n\r\n",
    r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"server.connections_max reached"}"#,
    "\n"
);

/// The acceptor of one listener. TLS, where there is any, comes on top of it.
#[derive(Clone)]
pub struct EdgeAcceptor {
    pub scheme: Scheme,
    pub links: Arc<Links>,
    pub surroundings: Arc<Surroundings>,
}

impl Accept<TcpStream, Router> for EdgeAcceptor {
    type Stream = Tracked;
    type Service = Edge;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Tracked, Edge)>> + Send>>;

    fn accept(&self, stream: TcpStream, router: Router) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            socket::prepare(&stream)?;
            let peer = client_addr(stream.peer_addr()?, this.scheme);
            match this.links.admit(peer) {
                Some(link) => {
                    if this.scheme == Scheme::Https && speaks_plain_http(&stream).await {
                        return Err(refuse(stream, WRONG_SCHEME).await);
                    }
                    let edge = Edge::new(router, Arc::clone(&link), this.surroundings);
                    Ok((Tracked::new(stream, link), edge))
                }
                // A handshake only to refuse would be worth an attacker's while.
                None if this.scheme == Scheme::Https => Err(io::Error::new(TOO_MANY_KIND, "too many connections")),
                None => Err(refuse(stream, TOO_MANY).await),
            }
        })
    }
}

fn client_addr(peer: SocketAddr, scheme: Scheme) -> ClientAddr {
    ClientAddr { ip: peer.ip().to_canonical(), https: scheme == Scheme::Https }
}

/// Whether the first byte is the letter of a method instead of a TLS record. A client that sends nothing is left to
/// the handshake's own bound.
async fn speaks_plain_http(stream: &TcpStream) -> bool {
    let mut first = [0];
    let peeked = tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut first)).await;
    matches!(peeked, Ok(Ok(1))) && first[0].is_ascii_uppercase()
}

/// Tells the client why, if it cares to read it.
async fn refuse(mut stream: TcpStream, answer: &str) -> io::Error {
    let tell = async {
        stream.write_all(answer.as_bytes()).await?;
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
    use super::{TOO_MANY, WRONG_SCHEME};

    #[test]
    fn refusals_are_as_long_as_they_say() {
        for refusal in [TOO_MANY, WRONG_SCHEME] {
            let (head, body) = refusal.split_once("\r\n\r\n").expect("head and body");
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        }
    }
}
