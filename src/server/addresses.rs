//! The shares of addresses, from the configuration.

use std::sync::Arc;

use super::forwarded::TrustedProxies;
use crate::access::{AddressPool, Addresses, Share};
use crate::config::ServerConfig;

/// Connections beyond every bound, on which probes are answered. Half of them are for addresses that have next to none, so
/// that those who fill all others keep no balancer out.
const PROBE_CONNECTIONS: Share = Share { all: 256, address: 8, little: 2, reserve: 128 };

pub fn addresses(server: &ServerConfig) -> Arc<Addresses> {
    let share = |pool| match pool {
        AddressPool::Connections => Share::of(u64::MAX, connections_of_one(server)),
        AddressPool::ProbeConnections => PROBE_CONNECTIONS,
        AddressPool::UnidentifiedBytes => Share::halved(server.unidentified_bytes_max),
        AddressPool::PublicStreams => Share::of(server.public_streams_max, server.public_streams_max.div_ceil(4)),
        AddressPool::Listings => Share::of(server.listings_max, server.listings_max.div_ceil(2)),
    };
    let trusted = TrustedProxies::new(server.trusted_proxies.clone());
    Addresses::new(share, move |ip| trusted.trust(ip))
}

/// Half of all at most, however few the limit of open files leaves: one address must not keep the others out.
fn connections_of_one(server: &ServerConfig) -> u64 {
    let half = server.connections_max as u64 / 2;
    server.connections_per_address_max.min(half).max(1)
}
