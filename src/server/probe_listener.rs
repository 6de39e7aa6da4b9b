//! The listener for probes and metrics alone: plain, so that it needs no certificate, and with a bound of its own, so that
//! it answers when the others are full. It serves until the process ends, and so shows the drain.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum_server::Handle;
use tokio::task::JoinSet;

use super::accept::{EdgeAcceptor, HttpAcceptor};
use super::addresses::addresses;
use super::browser::BrowserGuard;
use super::edge::{Clock, EdgeContext, edge};
use super::forwarded::TrustedProxies;
use super::link::Links;
use super::listeners::{BindError, Bound};
use super::serve::with_limits;
use super::transport::Transport;
use crate::base::Drain;
use crate::config::Scheme;
use crate::config::{Config, ServerConfig};
use crate::http::problem::problem;
use crate::http::{Code, Failure};
use crate::telemetry::Metrics;

/// Those who probe are few.
const CONNECTIONS_MAX: usize = 64;

/// Bound, and not served yet.
pub struct ProbeListener {
    bound: Vec<Bound>,
    config: ServerConfig,
}

impl ProbeListener {
    /// Binds `server.probe_listen`, where it is set.
    pub fn open(config: &Config) -> Result<Self, BindError> {
        let bound = Bound::all(config.server.probe_listen.as_slice())?;
        let share = CONNECTIONS_MAX as u64 / 2;
        let server = config.server.clone();
        let config = ServerConfig { connections_max: CONNECTIONS_MAX, connections_per_address_max: share, ..server };
        Ok(Self { bound, config })
    }

    /// For the line that names every URL; nothing without such a listener.
    pub fn line(&self) -> String {
        self.bound.iter().map(|bound| format!(" and probes on {bound}")).collect()
    }

    /// Serves `router` until the process ends.
    pub fn serve(self, router: Router, metrics: Arc<Metrics>, drain: Drain, clock: Clock) -> std::io::Result<Serving> {
        let mut serving = JoinSet::new();
        if self.bound.is_empty() {
            return Ok(Serving { _tasks: serving });
        }
        let links = Links::new(&self.config, addresses(&self.config), metrics);
        // It is no part of the drain that it reports.
        serving.spawn(Arc::clone(&links).sweep(self.config.clone(), Drain::default()));
        let context = Arc::new(EdgeContext {
            trusted: TrustedProxies::new(Vec::new()),
            browsers: BrowserGuard::default(),
            clock,
            drain,
            header_bytes_max: self.config.header_bytes_max,
            body_timeout: self.config.body_timeout,
            traces: None,
        });
        let router = router.fallback(nothing_else);
        for bound in self.bound {
            let transport = Transport { scheme: Scheme::Http, proxy_headers: None };
            let acceptor = EdgeAcceptor { transport, links: Arc::clone(&links), context: Arc::clone(&context), edge };
            let http = axum_server::from_tcp(bound.listener)?.handle(Handle::new()).acceptor(acceptor);
            let http = with_limits(http, &self.config, 0)
                .map(|inner| HttpAcceptor { inner, header_bytes_max: self.config.header_bytes_max });
            let make = router.clone().into_make_service();
            serving.spawn(async move { drop(http.serve(make).await) });
        }
        Ok(Serving { _tasks: serving })
    }
}

/// Ends with this.
pub struct Serving {
    _tasks: JoinSet<()>,
}

async fn nothing_else(request: Request) -> axum::response::Response {
    let path = request.uri().path();
    problem(&Failure::new(
        Code::NotFound,
        format!("there is nothing at {path}: server.probe_listen has /livez, /readyz and /metrics alone"),
    ))
}
