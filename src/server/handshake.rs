//! TLS handshakes that fail: counted, and logged at `debug`, because any port scanner causes them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum_server::accept::Accept;
use tokio::net::TcpStream;

use crate::telemetry::Metrics;

/// Around the acceptor that makes the handshake.
#[derive(Clone)]
pub struct CountFailures<A> {
    pub handshake: A,
    pub metrics: Arc<Metrics>,
}

impl<A> Accept<TcpStream, Router> for CountFailures<A>
where
    A: Accept<TcpStream, Router>,
    A::Future: Send + 'static,
{
    type Stream = A::Stream;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(A::Stream, A::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, router: Router) -> Self::Future {
        // It is unknown only where the peer is gone already.
        let peer = stream.peer_addr().map_or_else(|_| "?".to_owned(), |peer| peer.to_string());
        let accepted = self.handshake.accept(stream, router);
        let metrics = Arc::clone(&self.metrics);
        Box::pin(async move {
            let accepted = accepted.await;
            if let Err(error) = &accepted
                && error.kind() != TOO_MANY
            {
                metrics.tls_failures.inc();
                tracing::debug!(peer, %error, "the TLS handshake with {peer} has failed: {error}");
            }
            accepted
        })
    }
}

/// Of a connection that is refused before its handshake.
pub const TOO_MANY: io::ErrorKind = io::ErrorKind::ConnectionRefused;
