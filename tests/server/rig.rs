//! The edge around a small router, in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use latchd::base::clock;
use latchd::config::{Config, Inputs};
use latchd::server::{Drain, Listening};
use latchd::telemetry::Metrics;
use latchd::telemetry::requests::RouteLabels;
use tokio::task::JoinHandle;

use super::raw::Raw;
use crate::support::certificate;

/// Far beyond what any of these tests waits for, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running edge: its first address speaks TLS with the tests' certificate, its second plain HTTP.
pub struct Rig {
    addresses: Vec<SocketAddr>,
    pub drain: Drain,
    pub metrics: Arc<Metrics>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Rig {
    /// Serves `router` with these settings, given as `section.key`.
    pub fn start(router: Router, settings: &[(&str, &str)]) -> Self {
        let pair = certificate::pair();
        Self::with_pair(router, settings, &pair.certificate, &pair.key)
    }

    /// The same with another certificate.
    pub fn with_pair(router: Router, settings: &[(&str, &str)], cert: &std::path::Path, key: &std::path::Path) -> Self {
        let (cert, key) = (cert.display().to_string(), key.display().to_string());
        let fixed = [("listen", "https://127.0.0.1:0,http://127.0.0.1:0"), ("tls.cert", &cert), ("tls.key", &key)];
        let variable = |(key, value): &(&str, &str)| (latchd::config::env::variable(key), (*value).to_owned());
        let env = fixed.iter().chain(settings).map(variable).collect();
        let config = Config::load(Inputs { env, ..Inputs::default() }).expect("valid settings");
        let listening = Listening::open(&config, tokio::sync::watch::channel(()).1).expect("free ports");
        let addresses = listening.addresses();
        let mut labels = RouteLabels::default();
        labels.add("/lock", "lock_unlock");
        let (drain, metrics) = (Drain::default(), Arc::new(Metrics::new(labels)));
        let serving = listening.serve(router, Arc::clone(&metrics), drain.clone(), clock::process_age);
        Self { addresses, drain, metrics, serving: tokio::spawn(serving) }
    }

    pub fn https(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn http(&self) -> SocketAddr {
        self.addresses[1]
    }

    /// A new plaintext connection.
    pub async fn plain(&self) -> Raw {
        Raw::plain(self.http()).await
    }

    /// A new TLS connection that speaks HTTP/1.1.
    pub async fn tls(&self) -> Raw {
        Raw::tls(self.https(), certificate::client_config()).await.expect("a handshake")
    }

    /// A new connection of either kind.
    pub async fn connect(&self, tls: bool) -> Raw {
        if tls { self.tls().await } else { self.plain().await }
    }

    /// The value that `/metrics` would show for this line.
    pub fn metric(&self, name: &str) -> String {
        let text = self.metrics.encode(latchd::telemetry::metrics::registry());
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {text}"));
        line.trim().to_owned()
    }

    /// Waits until serving has ended by itself.
    pub async fn ended(self) {
        let ended = tokio::time::timeout(PATIENCE, self.serving).await.expect("the end in time");
        ended.expect("no panic").expect("no failure");
    }
}
