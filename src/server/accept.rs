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
use super::link::Links;
use super::socket;
use super::tracked::Tracked;
use crate::config::listen::Scheme;
use crate::dialects::peer::ClientAddr;

/// How long a refused client may take to read its refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);

const REFUSAL: &str = concat!(
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
                    let edge = Edge::new(router, Arc::clone(&link), this.surroundings);
                    Ok((Tracked::new(stream, link), edge))
                }
                None => Err(refuse(stream, this.scheme).await),
            }
        })
    }
}

fn client_addr(peer: SocketAddr, scheme: Scheme) -> ClientAddr {
    ClientAddr { ip: peer.ip().to_canonical(), https: scheme == Scheme::Https }
}

/// Without TLS the client is told why; a handshake only to refuse would be worth an attacker's while.
async fn refuse(mut stream: TcpStream, scheme: Scheme) -> io::Error {
    let tell = async {
        stream.write_all(REFUSAL.as_bytes()).await?;
        stream.shutdown().await?;
        // What the client has sent must be read, or closing makes its kernel throw the refusal away.
        let mut waste = [0; 1024];
        while stream.read(&mut waste).await? > 0 {}
        io::Result::Ok(())
    };
    if scheme == Scheme::Http {
        // Whether the client reads it is its own affair.
        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, tell).await;
    }
    io::Error::other("too many connections")
}

#[cfg(test)]
mod tests {
    use super::REFUSAL;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let (head, body) = REFUSAL.split_once("\r\n\r\n").expect("head and body");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
