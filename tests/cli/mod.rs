//! The command line and the configuration, as a user meets them.

mod asking;
mod astray;
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
mod ending;
mod holds;
mod listening;
mod lock;
mod logging;
mod operate;
mod restore;
mod supervised;
mod telling;
mod tls;
mod unheard;
mod watch;
