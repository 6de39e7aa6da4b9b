//! Composes: listeners, TLS, connections, drain, and the router on top. Decides nothing about locks.

mod accept;
mod addresses;
mod bounded_credentials;
mod browser;
mod certificates;
pub mod compose;
pub mod edge;
mod engine_metrics;
mod fields;
pub mod forwarded;
mod http2;
mod in_force;
mod key_ends;
mod keys_file;
mod link;
pub mod listeners;
mod oidc;
mod pages;
mod parse_errors;
mod probe_listener;
pub mod probes;
mod proxy_header;
mod redis;
pub mod router;
mod run;
mod serve;
pub mod signals;
mod socket;
mod system_limits;
pub mod tls;
mod tracked;
mod transport;
mod workers;

pub use crate::base::{Drain, DrainPhase};
pub use edge::Clock;
pub use pages::openapi_json;
pub use run::run;
pub use serve::{Listening, StartError};

/// What the command line can tell of a server that need not run.
pub mod inspection {
    pub use super::certificates::warnings;
    pub use super::system_limits::{files_wanted, memory, table_bytes_max};
    pub use super::tls::key_files::found as key_file_warnings;
    pub use super::tls::x509::{Described, describe, described};
    pub use super::tls::{Files, Tls, TlsError, check_files, refusal_of_own};
    pub use crate::base::clock::{check_wall_clock, http_date, rfc3339, unix_time};
    pub use crate::base::named_file::{PEM_BYTES_MAX, read as read_named_file};
    pub use crate::telemetry::traces::{
        COLLECTOR_CA, COLLECTOR_CERT, COLLECTOR_KEY, CollectorFiles, check_collector_files,
    };
}

/// What the command line does with backups while no server runs.
pub mod offline {
    pub use crate::engine::{BackupCounts, BackupError, RestoreOptions, check, check_address, restore};
}
