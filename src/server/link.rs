//! What is known about one connection, and the sweep that ends those that take too long.
//!
//! Time is counted in ticks of one shared sweep instead of one timer per request: a request pays a few atomic
//! operations, and a bound is kept to within two ticks.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::Duration;

use axum::http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::access::{Address, AddressPool, Addresses, Place};
use crate::base::LogRateLimit;
use crate::base::{Drain, DrainPhase};
use crate::config::ServerConfig;
use crate::http::connection::{ClientAddr, Connection};
use crate::telemetry::Metrics;

/// How long a connection may be kept after our last byte so that a peer that still sends can read it.
const LINGER: Duration = Duration::from_secs(2);

/// How long a connection may last on which only probes are answered.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many connections are refused with an error body at once; each takes a moment.
const REFUSING_MAX: usize = 32;

/// All connections of the process.
pub struct Links {
    connections_max: usize,
    open: AtomicUsize,
    tick: AtomicU64,
    links: Mutex<Vec<Weak<Link>>>,
    addresses: Arc<Addresses>,
    floods: LogRateLimit,
    /// Connections that are refused with an error body.
    pub(super) refusing: Arc<Semaphore>,
    pub(super) metrics: Arc<Metrics>,
}

/// One connection.
pub struct Link {
    all: Arc<Links>,
    /// As the socket says it; a proxy may say otherwise request by request.
    pub peer: ClientAddr,
    /// What the peer's address uses.
    pub address: Arc<Address>,
    /// The bound that it is beyond: only probes are answered, for a moment.
    pub probes_only: Option<AddressPool>,
    /// The tick at which it was admitted.
    begun: u64,
    _place: Option<Place>,
    pub connection: Arc<Connection>,
    /// The `Host` of a request that was found in order.
    pub checked_host: OnceLock<HeaderValue>,
    /// Requests being handled or answered.
    requests: AtomicU32,
    /// The tick at which the present phase began: head, idle or lingering.
    since: AtomicU64,
    /// Bytes came since the last request ended: a head is being read. Also true before the first request.
    in_head: AtomicBool,
    /// HTTP/2 sends frames of its own between requests, so they do not begin a head.
    is_http2: AtomicBool,
    /// The request's body may not have been read to its end.
    unread_body: AtomicBool,
    lingering: AtomicBool,
    /// The tick at which the peer last took something.
    took: AtomicU64,
    /// The tick since which the peer takes nothing of what waits for it; 0 while nothing waits.
    stalled: AtomicU64,
}

impl Links {
    pub fn new(config: &ServerConfig, addresses: Arc<Addresses>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            connections_max: config.connections_max,
            open: AtomicUsize::new(0),
            tick: AtomicU64::new(0),
            links: Mutex::default(),
            addresses,
            floods: LogRateLimit::new(1),
            refusing: Arc::new(Semaphore::new(REFUSING_MAX)),
            metrics,
        })
    }

    /// The account of another address than the peer's own.
    pub fn address(&self, ip: IpAddr) -> Arc<Address> {
        self.addresses.of(ip)
    }

    /// Admits a connection, or has it answer probes alone where there are too many, in all or from this address. Proxies
    /// have no share of their own. `Err` is the bound where even those are too many.
    pub fn admit(self: &Arc<Self>, peer: ClientAddr, is_proxy: bool) -> Result<Arc<Link>, AddressPool> {
        let address = self.addresses.of(peer.ip);
        let place = if is_proxy { None } else { address.take(AddressPool::Connections, 1) };
        if !is_proxy && place.is_none() {
            return self.admit_probe(peer, address, AddressPool::Connections);
        }
        if self.open.fetch_add(1, Relaxed) >= self.connections_max {
            self.open.fetch_sub(1, Relaxed);
            drop(place);
            return self.admit_probe(peer, address, AddressPool::ProbeConnections);
        }
        self.metrics.connections.inc();
        Ok(self.link(peer, address, None, place))
    }

    fn admit_probe(
        self: &Arc<Self>,
        peer: ClientAddr,
        address: Arc<Address>,
        beyond: AddressPool,
    ) -> Result<Arc<Link>, AddressPool> {
        match address.take(AddressPool::ProbeConnections, 1) {
            Some(place) => Ok(self.link(peer, address, Some(beyond), Some(place))),
            None => Err(beyond),
        }
    }

    fn link(
        self: &Arc<Self>,
        peer: ClientAddr,
        address: Arc<Address>,
        probes_only: Option<AddressPool>,
        place: Option<Place>,
    ) -> Arc<Link> {
        let link = Arc::new(Link {
            all: Arc::clone(self),
            peer,
            address,
            probes_only,
            begun: self.tick.load(Relaxed),
            _place: place,
            connection: Arc::default(),
            checked_host: OnceLock::new(),
            requests: AtomicU32::new(0),
            since: AtomicU64::new(self.tick.load(Relaxed)),
            in_head: AtomicBool::new(true),
            is_http2: AtomicBool::new(false),
            unread_body: AtomicBool::new(false),
            lingering: AtomicBool::new(false),
            took: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
        });
        self.links.lock().push(Arc::downgrade(&link));
        link
    }

    /// Ends connections that take too long. Runs until the process ends.
    pub async fn sweep(self: Arc<Self>, config: ServerConfig, drain: Drain) {
        let shortest = config.header_timeout.min(config.idle_timeout).min(LINGER);
        let pause = (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(1));
        let ticks = |bound: Duration| u64::try_from(bound.as_nanos().div_ceil(pause.as_nanos())).unwrap_or(u64::MAX);
        let usual = Bounds {
            head: ticks(config.header_timeout),
            idle: ticks(config.idle_timeout),
            stall: ticks(config.idle_timeout),
            linger: ticks(LINGER),
            probe: ticks(PROBE_TIMEOUT),
            closing: false,
        };
        // A connection without a request must not hold up the end.
        let closing = Bounds { head: usual.linger.min(usual.head), idle: 1, linger: 1, closing: true, ..usual };
        loop {
            tokio::time::sleep(pause).await;
            let now = self.tick.fetch_add(1, Relaxed) + 1;
            let bounds = if drain.has_reached(DrainPhase::Closing) { &closing } else { &usual };
            let mut links = self.links.lock();
            links.retain(|link| link.upgrade().inspect(|link| link.judge(now, bounds)).is_some());
        }
    }
}

/// The bounds in ticks.
struct Bounds {
    head: u64,
    idle: u64,
    stall: u64,
    linger: u64,
    probe: u64,
    closing: bool,
}

impl Link {
    /// Bytes arrived.
    pub fn read_some(&self) {
        if !self.in_head.load(Relaxed) && self.requests.load(Relaxed) == 0 && !self.is_http2.load(Relaxed) {
            self.begin_phase(true);
        }
    }

    /// A request's head is complete.
    pub fn request_begins(&self, is_http2: bool) {
        self.requests.fetch_add(1, Relaxed);
        if is_http2 {
            self.is_http2.store(true, Relaxed);
        }
    }

    /// Some bytes of an answer went to the kernel.
    pub fn wrote_some(&self) {
        self.took.store(self.all.tick.load(Relaxed), Relaxed);
        self.stalled.store(0, Relaxed);
    }

    /// The kernel takes no more, because the peer reads nothing.
    pub fn stalls(&self) {
        if self.stalled.load(Relaxed) == 0 {
            self.stalled.store(self.all.tick.load(Relaxed).max(1), Relaxed);
        }
    }

    /// A request's answer is ready, was sent if it was made on the way, or no client waits for it any more.
    pub fn request_ends(&self) {
        if self.requests.fetch_sub(1, Relaxed) == 1 {
            self.begin_phase(false);
        }
    }

    /// Notes whether the request that is answered may have left a part of its body unread.
    pub fn note_unread_body(&self, unread: bool) {
        self.unread_body.store(unread, Relaxed);
    }

    /// Whether the peer may still be sending what we will not read, so that a plain close would make its kernel
    /// throw our last answer away.
    pub fn should_linger(&self) -> bool {
        self.in_head.load(Relaxed) || self.unread_body.load(Relaxed)
    }

    /// The last byte was sent; what still comes is thrown away for a moment.
    pub fn lingers(&self) {
        if !self.lingering.swap(true, Relaxed) {
            self.since.store(self.all.tick.load(Relaxed), Relaxed);
        }
    }

    /// Whether this connection shall end, by the sweep or by the session that it carries; otherwise the waker is called when
    /// it does.
    pub fn is_expired(&self, waker: &Waker) -> bool {
        self.connection.poll_ending(waker)
    }

    /// The same without a waker.
    pub fn has_expired(&self) -> bool {
        self.connection.is_ending()
    }

    /// The account of an address that is not the peer's own, because a proxy names it.
    pub fn address_of(&self, ip: IpAddr) -> Arc<Address> {
        if ip == self.peer.ip { Arc::clone(&self.address) } else { self.all.address(ip) }
    }

    /// Ends the connection of a peer whose frames do nothing but cost.
    pub fn ends_for_a_flood(&self, now: Duration) {
        self.all.metrics.connections_flooded.inc();
        if let Some(held_back) = self.all.floods.admit(now) {
            let address = self.peer.ip;
            tracing::warn!(%address, held_back, "a connection from {address} is ended: a flood of HTTP/2 frames");
        }
        self.connection.end();
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.all.metrics
    }

    fn begin_phase(&self, in_head: bool) {
        self.since.store(self.all.tick.load(Relaxed), Relaxed);
        self.in_head.store(in_head, Relaxed);
    }

    fn judge(&self, now: u64, bounds: &Bounds) {
        if self.probes_only.is_some() && now.saturating_sub(self.begun) > bounds.probe {
            return self.connection.end();
        }
        let stalled = self.stalled.load(Relaxed);
        if stalled > 0 && now.saturating_sub(stalled) > bounds.stall {
            return self.connection.end();
        }
        let (since, bound) = if self.lingering.load(Relaxed) {
            (self.since.load(Relaxed), bounds.linger)
        } else if self.requests.load(Relaxed) > 0 {
            return;
        } else if self.in_head.load(Relaxed) {
            (self.since.load(Relaxed), bounds.head)
        } else if self.connection.may_idle() && !bounds.closing {
            // It lives as long as its client does, which HTTP/2's pings find out.
            return;
        } else {
            (self.idle_since(bounds.closing), bounds.idle)
        };
        if now.saturating_sub(since) > bound {
            self.connection.end();
        }
    }

    /// What is ready may still be on its way after its request. But HTTP/2 also sends pings, all the time.
    fn idle_since(&self, closing: bool) -> u64 {
        let ended = self.since.load(Relaxed);
        match self.is_http2.load(Relaxed) && !closing {
            true => ended,
            false => ended.max(self.took.load(Relaxed)),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.probes_only.is_none() {
            self.all.open.fetch_sub(1, Relaxed);
            self.all.metrics.connections.dec();
        }
    }
}
