//! Serving a router on every bound address until the drain is over, on the workers' threads.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum_server::tls_rustls::RustlsAcceptor;
use axum_server::{Address, Handle, Server};
use hyper_util::rt::TokioTimer;
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::accept::{EdgeAcceptor, Handshake, HttpAcceptor};
use super::addresses::addresses;
use super::browser::BrowserGuard;
use super::edge::{Clock, EdgeContext, edge};
use super::forwarded::TrustedProxies;
use super::link::Links;
use super::listeners::{BindError, Bound};
use super::proxy_header::ProxyHeaders;
use super::redis::RedisServer;
use super::socket;
use super::tls::{Served, Tls, TlsError};
use super::transport::Transport;
use super::workers::{HandedOver, Inbox, Recipient, Workers, hand_out};
use crate::access::Addresses;
use crate::base::{Drain, DrainPhase};
use crate::config::Scheme;
use crate::config::{Config, ServerConfig};
use crate::dialects::redis;
use crate::telemetry::Metrics;
use crate::telemetry::traces::Traces;

/// As many waiters as a lock may have, they may all wait on one connection.
const STREAMS_MIN: u64 = 10_000;

/// Windows for bodies that were not read yet: of one stream, and of a connection. The library allows as many short messages at
/// once as half of the latter has room for, at 256 bytes each.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// The buffer of an answer that the client does not take.
const SEND_BUFFER: usize = 64 << 10;

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
    Audit(#[from] crate::audit::OpenError),
    #[error(transparent)]
    Access(#[from] crate::access::AccessError),
    #[error(transparent)]
    Keys(#[from] super::keys_file::KeysFileError),
    #[error(
        "the system refuses the {count} worker threads of server.threads: {reason}; set fewer, or raise the limit of open \
         files (ulimit -n)"
    )]
    Workers { count: usize, reason: io::Error },
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    #[error("tracing.endpoint: traces cannot be sent to {url}: {reason}")]
    Traces { url: String, reason: String },
    #[error("the server cannot run: {0}")]
    Runtime(io::Error),
}

/// Bound addresses that are not served yet: connections queue in the kernel until `serve`.
pub struct Listening {
    bound: Vec<Bound>,
    tls: Option<Tls>,
    config: Config,
    address_usage: Arc<Addresses>,
    workers: Workers,
    redis: Option<Arc<redis::Shared>>,
    traces: Option<Arc<Traces>>,
}

impl Listening {
    /// Binds every address, starts the workers, and loads the certificate, which is read again on each request to reload.
    pub fn open(config: &Config, reloads: watch::Receiver<()>) -> Result<Self, StartError> {
        let bound = Bound::all(&config.listen)?;
        let wants_tls = bound.iter().any(|bound| bound.scheme.is_tls());
        let tls = wants_tls.then(|| Tls::open(&config.tls, &config.listen)).transpose()?;
        if let Some(tls) = tls.clone() {
            tokio::spawn(tls.watch(reloads));
        }
        let address_usage = addresses(&config.server);
        let count = config.server.worker_threads();
        let workers = Workers::start(count, config.server.connections_max);
        let workers = workers.map_err(|reason| StartError::Workers { count, reason })?;
        Ok(Self { bound, tls, config: config.clone(), address_usage, workers, redis: None, traces: None })
    }

    /// What the listeners of the Redis protocol serve.
    pub fn with_redis(self, shared: Arc<redis::Shared>) -> Self {
        Self { redis: Some(shared), ..self }
    }

    /// Where requests are traced.
    pub fn with_traces(self, traces: Option<Arc<Traces>>) -> Self {
        Self { traces, ..self }
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

    /// What each client's address uses.
    pub fn address_usage(&self) -> Arc<Addresses> {
        Arc::clone(&self.address_usage)
    }

    /// The certificates behind https and rediss, now and from now on.
    pub fn served_certificates(&self) -> Option<Served> {
        self.tls.as_ref().map(Tls::served)
    }

    /// Serves until the drain closes connections and their requests are finished, or their time is up.
    pub async fn serve(self, router: Router, metrics: Arc<Metrics>, drain: Drain, clock: Clock) -> io::Result<()> {
        let server = self.config.server.clone();
        let links = Links::new(&server, self.address_usage, metrics);
        let trusted = TrustedProxies::new(server.trusted_proxies.clone());
        let context = Arc::new(EdgeContext {
            trusted: trusted.clone(),
            browsers: BrowserGuard::new(&self.config),
            clock,
            drain: drain.clone(),
            header_bytes_max: server.header_bytes_max,
            body_timeout: server.body_timeout,
            traces: self.traces.clone(),
        });
        let sweep = tokio::spawn(Arc::clone(&links).sweep(server.clone(), drain.clone()));
        let redis = self.redis.map(|shared| {
            let (links, tls, drain) = (Arc::clone(&links), self.tls.as_ref(), drain.clone());
            RedisServer::new(&self.config, links, shared, tls, drain, self.traces)
        });
        let proxy_headers = ProxyHeaders::new(trusted, server.header_timeout, Arc::clone(&links.metrics));
        let http = HttpServer { links, context, tls: self.tls, config: self.config, router };
        let (mut serving, mut handing_out) = (JoinSet::new(), JoinSet::new());
        let (mut handles, mut listeners) = (Vec::new(), Vec::new());
        for bound in self.bound {
            let (scheme, is_proxied) = (bound.scheme, bound.proxy_protocol);
            let transport = Transport { scheme, proxy_headers: is_proxied.then(|| Arc::clone(&proxy_headers)) };
            let recipient = |runtime| match &redis {
                Some(redis) if scheme.is_redis() => redis.serve(transport.clone(), runtime, &mut serving),
                _ => http.serve(transport.clone(), runtime, &mut serving, &mut handles),
            };
            let recipients: Vec<Recipient> = self.workers.runtimes().map(recipient).collect();
            listeners.push(bound.listener.try_clone()?);
            handing_out.spawn(hand_out(bound.listener, recipients, self.workers.untaken(), drain.clone()));
        }
        let timeout = server.drain_timeout;
        serving.spawn(async move {
            drain.reached(DrainPhase::NotAccepting).await;
            listeners.drain(..).for_each(|listener| socket::turn_away(&listener));
            // They end when the drain closes connections.
            finish(handing_out).await?;
            handles.iter().for_each(|handle| handle.graceful_shutdown(Some(timeout)));
            Ok(())
        });
        let ended = finish(serving).await;
        sweep.abort();
        ended
    }
}

async fn finish(mut serving: JoinSet<io::Result<()>>) -> io::Result<()> {
    while let Some(ended) = serving.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}

/// The HTTP server of the workers.
struct HttpServer {
    links: Arc<Links>,
    context: Arc<EdgeContext>,
    tls: Option<Tls>,
    config: Config,
    router: Router,
}

impl HttpServer {
    /// Serves, on a worker's runtime, the connections of one listener that are handed to it.
    fn serve(
        &self,
        transport: Transport,
        worker: &runtime::Handle,
        serving: &mut JoinSet<io::Result<()>>,
        handles: &mut Vec<Handle<HandedOver>>,
    ) -> Recipient {
        let (inbox, arrivals) = Inbox::new();
        let (handle, is_https) = (Handle::new(), transport.scheme == Scheme::Https);
        let (links, context) = (Arc::clone(&self.links), Arc::clone(&self.context));
        let edge = EdgeAcceptor { transport, links, context, edge };
        let http = Server::from_listener(arrivals).handle(handle.clone()).acceptor(edge);
        let http = with_limits(http, &self.config.server, self.config.locks.waiters_per_lock_max);
        let make = self.router.clone().into_make_service();
        let header_bytes_max = self.config.server.header_bytes_max;
        match &self.tls {
            Some(tls) if is_https => {
                let metrics = Arc::clone(&self.links.metrics);
                let handshake = RustlsAcceptor::new(tls.live.clone());
                let handshake = handshake.handshake_timeout(self.config.tls.handshake_timeout);
                let http = http.map(|edge| {
                    let inner =
                        Handshake { handshake: handshake.acceptor(edge), metrics, authorities: tls.authorities() };
                    HttpAcceptor { inner, header_bytes_max }
                });
                serving.spawn_on(http.serve(make), worker);
            }
            _ => {
                let http = http.map(|inner| HttpAcceptor { inner, header_bytes_max });
                serving.spawn_on(http.serve(make), worker);
            }
        }
        handles.push(handle.clone());
        Recipient { inbox, connections: Box::new(move || handle.connection_count()) }
    }
}

/// The limits on what hyper reads before we are asked. Of its own timers only HTTP/2's pings are on: the sweep bounds
/// connections, but it cannot tell a peer that holds a lock in silence from one that is gone.
pub fn with_limits<T: Address, A>(mut http: Server<T, A>, config: &ServerConfig, waiters_max: u64) -> Server<T, A> {
    let builder = http.http_builder();
    builder.http1().max_buf_size(config.header_bytes_max).header_read_timeout(None);
    // Beyond this the library sends no error body; `edge/admit.rs` sends one for what is above the limit itself.
    let header_list = u32::try_from(2 * config.header_bytes_max).unwrap_or(u32::MAX);
    let streams = u32::try_from(waiters_max.max(STREAMS_MIN)).unwrap_or(u32::MAX);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_header_list_size(header_list).max_concurrent_streams(streams);
    http2.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    http2.max_send_buf_size(SEND_BUFFER);
    http2.keep_alive_interval(config.keepalive_interval).keep_alive_timeout(config.keepalive_timeout);
    http
}
