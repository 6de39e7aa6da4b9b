//! Serving a router on every bound address until the drain is over.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::task::JoinSet;

use super::addresses::addresses;
use super::browser::BrowserGuard;
use super::drain::Drain;
use super::edge::{Clock, EdgeContext};
use super::forwarded::TrustedProxies;
use super::http_server::HttpServer;
use super::link::Links;
use super::listeners::{BindError, Bound};
use super::reload::Reload;
use super::socket;
use super::tls::{Served, Tls, TlsError};
use super::workers::{Recipient, Workers, hand_out};
use crate::access::Addresses;
use crate::config::Config;
use crate::config::listen::Scheme;
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
    #[error(
        "the system refuses the {count} worker threads of server.threads: {reason}; set fewer, or raise the limit of open \
         files (ulimit -n)"
    )]
    Workers { count: usize, reason: std::io::Error },
    #[error("the system refuses what a server needs: {0}")]
    Runtime(std::io::Error),
}

/// Bound addresses that are not served yet: connections queue in the kernel until `serve`.
pub struct Listening {
    bound: Vec<Bound>,
    tls: Option<Tls>,
    config: Config,
    reload: Reload,
    shares: Arc<Addresses>,
    workers: Workers,
}

impl Listening {
    /// Binds every address, loads the certificate and starts the workers.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let bound = Bound::all(&config.listen)?;
        let wants_tls = bound.iter().any(|bound| bound.scheme == Scheme::Https);
        let tls = wants_tls.then(|| Tls::open(&config.tls, &config.listen)).transpose()?;
        let shares = addresses(&config.server);
        let count = config.server.worker_threads();
        let workers = Workers::start(count, config.server.connections_max);
        let workers = workers.map_err(|reason| StartError::Workers { count, reason })?;
        Ok(Self { bound, tls, config: config.clone(), reload: Reload::default(), shares, workers })
    }

    /// Reads its files again on each request to reload.
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
        let server = self.config.server.clone();
        let links = Links::new(&server, self.shares, metrics);
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
        let http = HttpServer { links, context, tls: self.tls, config: self.config, router };
        let (mut serving, mut handing_out) = (JoinSet::new(), JoinSet::new());
        let (mut handles, mut listeners) = (Vec::new(), Vec::new());
        for bound in self.bound {
            let recipients: Vec<Recipient> =
                self.workers.runtimes().map(|runtime| http.serve(bound.scheme, runtime, &mut serving)).collect();
            handles.extend(recipients.iter().map(|recipient| recipient.handle.clone()));
            listeners.push(bound.listener.try_clone()?);
            handing_out.spawn(hand_out(bound.listener, recipients, self.workers.untaken(), drain.clone()));
        }
        let timeout = server.drain_timeout;
        serving.spawn(async move {
            drain.turned_away().await;
            listeners.drain(..).for_each(|listener| socket::turn_away(&listener));
            // They end when the drain has begun.
            finish(handing_out).await?;
            handles.iter().for_each(|handle| handle.graceful_shutdown(Some(timeout)));
            Ok(())
        });
        let ended = finish(serving).await;
        sweep.abort();
        ended
    }
}

async fn finish(mut serving: JoinSet<std::io::Result<()>>) -> std::io::Result<()> {
    while let Some(ended) = serving.join_next().await {
        ended.map_err(std::io::Error::other)??;
    }
    Ok(())
}
