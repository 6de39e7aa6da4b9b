//! The way to other nodes: connections, and the messages that travel over them.
//!
//! ```text
//! transport (TLS, or a simulation's) ─► hello ─► frames ─┬─► connection, client: requests to other nodes
//!                                                        └─► server, incoming: requests of other nodes
//! ```

pub mod authorization;
pub mod certificate;
pub mod client;
pub mod connection;
pub mod connections;
pub mod frame;
pub mod hello;
pub mod incoming;
pub mod message;
#[cfg(test)]
mod message_tests;
pub mod server;
mod slots;
mod snapshot;
pub mod tls;
