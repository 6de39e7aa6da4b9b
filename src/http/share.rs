//! What is refused because an address, or all of them, use their share: told once a minute, and in words to the client.

use super::code::Code;
use super::failure::Failure;
use crate::access::{Address, Pool};
use std::time::Duration;

/// Counts a refusal, and tells of it at most once a minute.
pub fn tell(address: &Address, pool: Pool, now: Duration) {
    let Some(held_back) = address.refuse(pool, now) else { return };
    let (limit, group) = (pool.config_key(), address.group());
    tracing::warn!(address = %group, limit, held_back, "{limit} is reached, last by {group}: {}", what(pool));
}

/// The same, and what the client is told.
pub fn refused(address: &Address, pool: Pool, now: Duration) -> Failure {
    tell(address, pool, now);
    Failure::new(code(pool), what(pool)).set_by(pool.config_key())
}

fn code(pool: Pool) -> Code {
    match pool {
        Pool::Connections | Pool::ProbeConnections => Code::ConnectionsFull,
        Pool::UnidentifiedBytes | Pool::PublicStreams | Pool::Listings => Code::AddressFull,
    }
}

const fn what(pool: Pool) -> &'static str {
    match pool {
        Pool::Connections => "too many connections from one address, and on this one only probes are answered",
        Pool::ProbeConnections => "too many connections, and on this one only probes are answered",
        Pool::UnidentifiedBytes => "too many requests without a credential are in flight, from one address or from all",
        Pool::PublicStreams => "too many streams that need no credential are open, from one address or from all",
        Pool::Listings => "too many listings are being sent, to one address or to all",
    }
}
