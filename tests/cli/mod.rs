//! The command line and the configuration, as a user meets them.

mod binary;
mod certs;
mod client;
mod config_cluster;
mod config_document;
mod config_errors;
mod config_layers;
mod ending;
mod lock;
mod operate;
mod watch;
