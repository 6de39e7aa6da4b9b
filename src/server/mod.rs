//! Composes: listeners, TLS, connections, drain, and the router on top. Decides nothing about locks.

mod accept;
mod addresses;
mod admission;
mod browser;
mod certificates;
pub mod compose;
pub mod drain;
pub mod edge;
mod engine_metrics;
mod files;
pub mod forwarded;
mod handshake;
mod head;
mod http2;
mod leave;
mod link;
pub mod listeners;
mod memory;
pub mod offline;
mod pages;
mod parse_errors;
mod probe_listener;
pub mod probes;
mod reload;
pub mod router;
mod run;
mod serve;
mod socket;
mod supervisor;
pub mod tls;
mod tracked;

pub use drain::Drain;
pub use edge::Clock;
pub use pages::openapi_json;
pub use run::run;
pub use serve::{Listening, StartError};
