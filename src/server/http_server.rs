//! The HTTP server of one worker: what surrounds each connection, and the bounds on what hyper reads.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum_server::tls_rustls::RustlsAcceptor;
use axum_server::{Address, Handle, Server};
use hyper_util::rt::TokioTimer;
use tokio::runtime;
use tokio::task::JoinSet;

use super::accept::EdgeAcceptor;
use super::edge::{EdgeContext, edge};
use super::handshake::CountFailures;
use super::http2::GuardedAcceptor;
use super::link::Links;
use super::parse_errors::ParseErrorAcceptor;
use super::tls::Tls;
use super::workers::{Inbox, Recipient};
use crate::config::listen::Scheme;
use crate::config::{Config, ServerConfig};

/// As many waiters as a lock may have, they may all wait on one connection.
const STREAMS_MIN: u64 = 10_000;

/// Of bodies that were not read yet: of one stream, and of a connection. The library allows as many short messages at
/// once as half of the latter has room for, at 256 bytes each.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Of an answer that the client does not take.
const SEND_BUFFER: usize = 64 << 10;

/// The bounds on what hyper reads before we are asked. Of its own timers only HTTP/2's pings are on: the sweep bounds
/// connections, but it cannot tell a peer that holds a lock in silence from one that is gone.
pub(super) fn bounded<T: Address, A>(mut http: Server<T, A>, config: &ServerConfig, waiters_max: u64) -> Server<T, A> {
    let builder = http.http_builder();
    builder.http1().max_buf_size(config.header_bytes_max).header_read_timeout(None);
    // Beyond this the library refuses without a word; `head.rs` has words for what is above the limit itself.
    let header_list = u32::try_from(2 * config.header_bytes_max).unwrap_or(u32::MAX);
    let streams = u32::try_from(waiters_max.max(STREAMS_MIN)).unwrap_or(u32::MAX);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_header_list_size(header_list).max_concurrent_streams(streams);
    http2.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    http2.max_send_buf_size(SEND_BUFFER);
    http2.keep_alive_interval(config.keepalive_interval).keep_alive_timeout(config.keepalive_timeout);
    http
}

pub struct HttpServer {
    pub links: Arc<Links>,
    pub context: Arc<EdgeContext>,
    pub tls: Option<Tls>,
    pub config: Config,
    pub router: Router,
}

impl HttpServer {
    /// Serves, on a worker's runtime, the connections of one listener that are handed to it.
    pub fn serve(&self, scheme: Scheme, worker: &runtime::Handle, serving: &mut JoinSet<io::Result<()>>) -> Recipient {
        let (inbox, arrivals) = Inbox::new();
        let handle = Handle::new();
        let (links, context) = (Arc::clone(&self.links), Arc::clone(&self.context));
        let edge = EdgeAcceptor { scheme, links, context, edge };
        let http = Server::from_listener(arrivals).handle(handle.clone()).acceptor(edge);
        let http = bounded(http, &self.config.server, self.config.locks.waiters_per_lock_max);
        let make = self.router.clone().into_make_service();
        let header_bytes_max = self.config.server.header_bytes_max;
        match &self.tls {
            Some(tls) if scheme == Scheme::Https => {
                let metrics = Arc::clone(&self.links.metrics);
                let handshake = RustlsAcceptor::new(tls.live.clone());
                let handshake = handshake.handshake_timeout(self.config.tls.handshake_timeout);
                let http = http.map(|edge| {
                    let inner = CountFailures { handshake: handshake.acceptor(edge), metrics };
                    GuardedAcceptor { inner: ParseErrorAcceptor { inner, header_bytes_max } }
                });
                serving.spawn_on(http.serve(make), worker);
            }
            _ => {
                let http = http.map(|inner| GuardedAcceptor { inner: ParseErrorAcceptor { inner, header_bytes_max } });
                serving.spawn_on(http.serve(make), worker);
            }
        }
        Recipient { inbox, handle }
    }
}
