//! What handlers share, made from the configuration.

use crate::access::Access;
use crate::api::EventSettings;
use crate::base::clock;
use crate::config::Config;
use crate::domain::time::round_up_ms;
use crate::engine::Engine;
use crate::http::body::BodyLimits;
use crate::http::grpc::connection::ConnectionSettings;
use crate::http::unknown::Unknown;
use crate::http::{Clock, Service, Settings, Shared};
use axum::http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// The state of every dialect.
pub fn service(config: &Config, engine: Engine, access: Access) -> Shared {
    let clock = Clock { unix_time: clock::unix_time, uptime: clock::process_age };
    Service::new(engine, Arc::new(access), settings(config), clock)
}

fn settings(config: &Config) -> Settings {
    let (locks, server) = (&config.locks, &config.server);
    Settings {
        server_name: server_name(&server.name),
        body_limits: BodyLimits { bytes_max: server.body_bytes_max, timeout: server.body_timeout },
        max_hold_ms: locks.max_hold().map(round_up_ms),
        get_lock_lifetime_ms: round_up_ms(locks.get_lock_lifetime),
        get_lock_release_without_credential: config.compat.release_without_credential,
        lock_unlock_ttl_ms: round_up_ms(locks.lock_unlock_ttl),
        kufuli_wait_ms: kufuli_wait_ms(locks.kufuli_wait),
        kufuli_max_lock_span_ms: round_up_ms(locks.kufuli_max_lock_span),
        connections: ConnectionSettings {
            loss_grace: config.sessions.connection_loss_grace,
            no_clear_on_disconnect: config.sessions.no_clear_on_disconnect,
            allow_via_proxy: config.sessions.connections_via_proxy,
        },
        public_stream_age_max: server.public_stream_age_max,
        events: EventSettings {
            heartbeat: config.events.heartbeat,
            slow_reader_after: config.events.slow_reader_after,
        },
        unknown: if config.compat.ignore_unknown_fields { Unknown::Ignored } else { Unknown::Refused },
        session_idle_ms_max: round_up_ms(config.sessions.idle_timeout_max),
    }
}

/// kufuli tries no second time where it is told to wait 0s.
fn kufuli_wait_ms(wait: Duration) -> u64 {
    if wait.is_zero() { 0 } else { round_up_ms(wait) }
}

/// The name is also a header, which has no room for line breaks and the like.
fn server_name(name: &str) -> HeaderValue {
    let printable: String = name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    HeaderValue::from_str(printable.trim()).unwrap_or(HeaderValue::from_static("latchd"))
}
