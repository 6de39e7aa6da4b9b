//! The gRPC kit: a call and its answer ([`unary`]), messages in their frames ([`frame`]), the one table of statuses
//! ([`status`]), sessions that end with their connection ([`connection`]).
//!
//! What may not live here: sockets and HTTP/2, which are the server's, and decisions about locks.

pub mod connection;
mod contact;
pub mod frame;
pub mod proto;
pub mod public_stream;
pub mod status;
pub mod unary;

pub use contact::Contact;
pub use unary::{is_grpc, refused, unknown};
