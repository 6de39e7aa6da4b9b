//! The command line and the configuration, as a user meets them.

mod binary;
mod certs;
mod client;
mod completions;
mod config_cluster;
mod config_document;
mod config_errors;
mod config_layers;
mod diagnostics;
mod diagnostics_cluster;
mod doctor;
mod foreign_answers;
mod health;
mod holds;
mod keys;
mod listening;
pub mod lock;
mod logging;
mod man;
mod observability;
mod operate;
mod restore;
mod service_manager;
mod shutdown;
mod tls;
mod unwritable_output;
mod watch;
