//! The listeners of the Redis protocol: connections from a worker's inbox to their end. What the bytes mean is the dialect's.

mod conversation;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::forwarded::TrustedProxies;
use super::link::{Link, Links};
use super::tls::{Authorities, Tls};
use super::tracked::{Tracked, TrackedStream};
use super::transport::Transport;
use super::workers::{Inbox, Recipient};
use crate::base::{Drain, clock};
use crate::config::Config;
use crate::dialects::redis::{Client, Shared};
use crate::http::address_limits;
use crate::telemetry::traces::Traces;
use conversation::Conversation;

/// The server of the Redis protocol, on all workers.
#[derive(Clone)]
pub struct RedisServer(Arc<Inner>);

struct Inner {
    links: Arc<Links>,
    shared: Arc<Shared>,
    tls: Option<RustlsConfig>,
    authorities: Arc<Authorities>,
    handshake_timeout: Duration,
    drain_timeout: Duration,
    trusted: TrustedProxies,
    drain: Drain,
    traces: Option<Arc<Traces>>,
}

impl RedisServer {
    pub fn new(
        config: &Config,
        links: Arc<Links>,
        shared: Arc<Shared>,
        tls: Option<&Tls>,
        drain: Drain,
        traces: Option<Arc<Traces>>,
    ) -> RedisServer {
        RedisServer(Arc::new(Inner {
            links,
            shared,
            tls: tls.map(|tls| tls.live.clone()),
            authorities: tls.map(Tls::authorities).unwrap_or_default(),
            handshake_timeout: config.tls.handshake_timeout,
            drain_timeout: config.server.drain_timeout,
            trusted: TrustedProxies::new(config.server.trusted_proxies.clone()),
            drain,
            traces,
        }))
    }

    /// Serves, on a worker's runtime, the connections of one listener that are handed to it.
    pub fn serve(
        &self,
        transport: Transport,
        worker: &runtime::Handle,
        serving: &mut JoinSet<io::Result<()>>,
    ) -> Recipient {
        let (inbox, arrivals) = Inbox::new();
        let open = Arc::new(AtomicUsize::new(0));
        serving.spawn_on(self.clone().serve_all(transport, arrivals, Arc::clone(&open)), worker);
        Recipient { inbox, connections: Box::new(move || open.load(Relaxed)) }
    }

    /// Until no more connections can come, and those there are have ended or their time is up.
    async fn serve_all(self, transport: Transport, arrivals: Inbox, open: Arc<AtomicUsize>) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                arrival = arrivals.next() => {
                    let Some(stream) = arrival else { break };
                    open.fetch_add(1, Relaxed);
                    connections.spawn(self.clone().connection(transport.clone(), stream));
                }
                Some(_) = connections.join_next() => { open.fetch_sub(1, Relaxed); }
            }
        }
        let ended = async { while connections.join_next().await.is_some() {} };
        // What is left is dropped with the set.
        let _ = timeout(self.0.drain_timeout, ended).await;
        Ok(())
    }

    async fn connection(self, transport: Transport, stream: std::net::TcpStream) {
        if let Err(error) = self.begin(&transport, stream).await {
            tracing::debug!(%error, "a connection of the Redis protocol has failed: {error}");
        }
    }

    async fn begin(&self, transport: &Transport, stream: std::net::TcpStream) -> io::Result<()> {
        let mut stream = TcpStream::from_std(stream)?;
        let peer = transport.open(&mut stream).await.map_err(io::Error::other)?;
        let Inner { links, trusted, .. } = &*self.0;
        let link = match links.admit(peer, trusted.trust(peer.ip)) {
            Ok(link) => link,
            Err(pool) => {
                links.metrics.connections_refused.inc();
                address_limits::log_refusal(&links.address(peer.ip), pool, clock::process_age());
                return Ok(());
            }
        };
        let tracked = Tracked::new(stream, Arc::clone(&link));
        match &self.0.tls {
            Some(tls) if transport.scheme.is_tls() => {
                let handshake = TlsAcceptor::from(tls.get_inner()).accept(tracked);
                let accepted = timeout(self.0.handshake_timeout, handshake).await;
                let accepted = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                let stream = accepted.inspect_err(|_| _ = links.metrics.tls_failures.inc())?;
                if let Some(certificate) = self.0.authorities.certificate(stream.get_ref().1) {
                    link.connection.show_certificate(certificate);
                }
                self.converse(stream, link).await
            }
            _ => self.converse(tracked, link).await,
        }
    }

    async fn converse<S: TrackedStream>(&self, stream: S, link: Arc<Link>) -> io::Result<()> {
        let is_proxy = self.0.trusted.trust(link.peer.ip);
        let client = Client::new(&self.0.shared, link.peer.ip, is_proxy, &link.connection);
        let answer_bytes_max = self.0.shared.config.answer_bytes_max;
        let conversation = Conversation::new(stream, link, client, answer_bytes_max, self.0.drain.clone());
        conversation.with_traces(self.0.traces.clone()).run().await
    }
}
