//! The way to other nodes: connections, and the messages that travel over them.
//!
//! ```text
//! transport (TLS, or a simulation's) ─► hello ─► frames ─┬─► connection, client: requests to other nodes
//!                                                        └─► server, incoming, answers: requests of other nodes
//! ```

pub mod answers;
pub mod authorization;
mod calls;
pub mod certificate;
pub mod client;
pub mod connection;
pub mod connections;
pub mod frame;
pub mod hello;
mod incoming;
pub mod message;
#[cfg(test)]
mod message_tests;
pub mod server;
mod slots;
mod snapshot;
pub mod tls;
pub mod transport;
