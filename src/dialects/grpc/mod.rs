//! The gRPC dialects: LDLM's, kufuli's, lockd's and RaftLock's services, the standard health check, and reflection.
//!
//! What lives here: one file per service, all alike, and what they share: a call and its answer ([`unary`]), messages in
//! their frames ([`frame`]), the one table of statuses ([`status`]), sessions that end with their connection
//! ([`connection`]). What may not: sockets and HTTP/2, which are the server's, and decisions about locks.

pub mod connection;
mod contact;
mod frame;
pub mod health;
pub mod kufuli;
pub mod ldlm;
pub mod lockd;
pub mod proto;
mod public_stream;
pub mod raftlock;
pub mod reflection;
mod status;
mod unary;

pub use contact::Contact;
pub use unary::{is_grpc, refused, unknown};
