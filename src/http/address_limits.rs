//! Refusals because one address, or all of them together, use as much as they may.

use super::code::Code;
use super::connection::ClientInfo;
use super::failure::Failure;
use crate::access::{Address, AddressPool, Place};
use crate::base::clock;
use axum::http::Extensions;
use std::time::Duration;

/// A place in a pool for a request, free again when it is dropped; `None` for a call in process.
pub fn take_place(request: &Extensions, pool: AddressPool) -> Result<Option<Place>, Failure> {
    let Some(info) = request.get::<ClientInfo>() else { return Ok(None) };
    let address = info.unidentified.address();
    match address.take(pool, 1) {
        Some(place) => Ok(Some(place)),
        None => Err(refuse(address, pool, clock::process_age())),
    }
}

/// Counts a refusal, logs it at most once a minute, and returns the client's error.
pub fn refuse(address: &Address, pool: AddressPool, now: Duration) -> Failure {
    log_refusal(address, pool, now);
    Failure::new(code(pool), reason(pool)).set_by(pool.config_key())
}

/// Counts a refusal, and logs it at most once a minute.
pub fn log_refusal(address: &Address, pool: AddressPool, now: Duration) {
    let Some(held_back) = address.refuse(pool, now) else { return };
    let (limit, group) = (pool.config_key(), address.group());
    tracing::warn!(address = %group, limit, held_back, "{limit} is reached, last by {group}: {}", reason(pool));
}

fn code(pool: AddressPool) -> Code {
    match pool {
        AddressPool::Connections | AddressPool::ProbeConnections => Code::ConnectionsFull,
        AddressPool::UnidentifiedBytes | AddressPool::PublicStreams | AddressPool::Listings => Code::AddressFull,
    }
}

const fn reason(pool: AddressPool) -> &'static str {
    match pool {
        AddressPool::Connections => "too many connections from one address, and on this one only probes are answered",
        AddressPool::ProbeConnections => "too many connections, and on this one only probes are answered",
        AddressPool::UnidentifiedBytes => {
            "too many requests without a credential are in flight, from one address or from all"
        }
        AddressPool::PublicStreams => "too many streams that need no credential are open, from one address or from all",
        AddressPool::Listings => "too many listings are being sent, to one address or to all",
    }
}
