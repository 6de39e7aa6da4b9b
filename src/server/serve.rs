//! Serving a router on every bound address until the drain is over.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum_server::tls_rustls::RustlsAcceptor;
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use tokio::task::JoinSet;

use super::accept::EdgeAcceptor;
use super::addresses::addresses;
use super::browser::BrowserGuard;
use super::drain::Drain;
use super::edge::{Clock, EdgeContext, edge};
use super::forwarded::TrustedProxies;
use super::handshake::CountFailures;
use super::http2::GuardedAcceptor;
use super::link::Links;
use super::listeners::{BindError, Bound};
use super::parse_errors::ParseErrorAcceptor;
use super::reload::Reload;
use super::socket;
use super::tls::{Served, Tls, TlsError};
use crate::access::Addresses;
use crate::config::listen::Scheme;
use crate::config::{Config, ServerConfig};
use crate::telemetry::Metrics;

/// Why nothing is served. Told to the person who starts the service.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Engine(#[from] crate::engine::NodeStartError),
    #[error(transparent)]
    Access(#[from] crate::access::AccessError),
    #[error("the system refuses what a server needs: {0}")]
    Runtime(std::io::Error),
}

/// Bound addresses that nobody serves yet: connections queue in the kernel until `serve`.
pub struct Listening {
    bound: Vec<Bound>,
    tls: Option<Tls>,
    config: Config,
    reload: Reload,
    shares: Arc<Addresses>,
}

impl Listening {
    /// Binds every address and loads the certificate.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let bound = Bound::all(&config.listen)?;
        let wants_tls = bound.iter().any(|bound| bound.scheme == Scheme::Https);
        let tls = wants_tls.then(|| Tls::open(&config.tls, &config.listen)).transpose()?;
        let shares = addresses(&config.server);
        Ok(Self { bound, tls, config: config.clone(), reload: Reload::default(), shares })
    }

    /// Reads its files again when it is told to.
    pub fn follow(self, reload: Reload) -> Self {
        Self { reload, ..self }
    }

    /// Every URL, with the real ports.
    pub fn urls(&self) -> String {
        let urls: Vec<String> = self.bound.iter().map(ToString::to_string).collect();
        urls.join(" ")
    }

    /// The bound addresses, in the order of `listen`.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.address).collect()
    }

    /// What each address uses.
    pub fn shares(&self) -> Arc<Addresses> {
        Arc::clone(&self.shares)
    }

    /// The certificates behind https, now and from now on.
    pub fn served_certificates(&self) -> Option<Served> {
        self.tls.as_ref().map(Tls::served)
    }

    /// Serves until the drain has begun and its requests are finished, or their time is up.
    pub async fn serve(self, router: Router, metrics: Arc<Metrics>, drain: Drain, clock: Clock) -> std::io::Result<()> {
        let server = &self.config.server;
        let links = Links::new(server, self.shares, metrics);
        let trusted = TrustedProxies::new(server.trusted_proxies.clone());
        let context = Arc::new(EdgeContext {
            trusted,
            browsers: BrowserGuard::new(&self.config),
            clock,
            drain: drain.clone(),
            header_bytes_max: server.header_bytes_max,
            body_timeout: server.body_timeout,
        });
        if let Some(tls) = &self.tls {
            tls.watch(&self.reload);
        }
        let sweep = tokio::spawn(Arc::clone(&links).sweep(server.clone(), drain.clone()));
        let header_bytes_max = server.header_bytes_max;
        let mut serving = JoinSet::new();
        let (mut handles, mut listeners) = (Vec::new(), Vec::new());
        for bound in self.bound {
            let handle = Handle::new();
            let acceptor =
                EdgeAcceptor { scheme: bound.scheme, links: Arc::clone(&links), context: Arc::clone(&context), edge };
            listeners.push(bound.listener.try_clone()?);
            let http = axum_server::from_tcp(bound.listener)?.handle(handle.clone()).acceptor(acceptor);
            let http = bounded(http, server, self.config.locks.waiters_per_lock_max);
            let make = router.clone().into_make_service();
            match &self.tls {
                Some(tls) if bound.scheme == Scheme::Https => {
                    let metrics = Arc::clone(&links.metrics);
                    let handshake = RustlsAcceptor::new(tls.live.clone());
                    let handshake = handshake.handshake_timeout(self.config.tls.handshake_timeout);
                    serving.spawn(
                        http.map(|edge| {
                            let inner = CountFailures { handshake: handshake.acceptor(edge), metrics };
                            GuardedAcceptor { inner: ParseErrorAcceptor { inner, header_bytes_max } }
                        })
                        .serve(make),
                    );
                }
                _ => drop(
                    serving.spawn(
                        http.map(|edge| GuardedAcceptor {
                            inner: ParseErrorAcceptor { inner: edge, header_bytes_max },
                        })
                        .serve(make),
                    ),
                ),
            }
            handles.push(handle);
        }
        let timeout = server.drain_timeout;
        serving.spawn(async move {
            drain.turned_away().await;
            listeners.drain(..).for_each(|listener| socket::turn_away(&listener));
            drain.begun().await;
            handles.iter().for_each(|handle| handle.graceful_shutdown(Some(timeout)));
            Ok(())
        });
        let ended = finish(serving).await;
        sweep.abort();
        ended
    }
}

/// As many waiters as a lock may have, they may all wait on one connection.
const STREAMS_MIN: u64 = 10_000;

/// Of bodies that nobody has read yet: of one stream, and of a connection. The library allows as many short messages at
/// once as half of the latter has room for, at 256 bytes each.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Of an answer that the client does not take.
const SEND_BUFFER: usize = 64 << 10;

/// The bounds on what hyper reads before we are asked. Of its own timers only HTTP/2's pings are on: the sweep bounds
/// connections, but it cannot tell a peer that holds a lock in silence from one that is gone.
pub(super) fn bounded<A>(
    mut http: Server<SocketAddr, A>,
    config: &ServerConfig,
    waiters_max: u64,
) -> Server<SocketAddr, A> {
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

async fn finish(mut serving: JoinSet<std::io::Result<()>>) -> std::io::Result<()> {
    while let Some(ended) = serving.join_next().await {
        ended.map_err(std::io::Error::other)??;
    }
    Ok(())
}
