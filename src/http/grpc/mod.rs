//! The gRPC kit: a call and its answer ([`unary`]), messages in their frames ([`frame`]), the one table of statuses
//! ([`status`]).
//!
//! What may not live here: sockets and HTTP/2, which are the server's, and decisions about locks.

pub mod frame;
pub mod status;
pub mod unary;

pub use unary::{is_grpc, refused, unknown};
