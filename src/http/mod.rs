//! The HTTP kit: what every dialect and our own API need of HTTP and gRPC.
//!
//! Credentials ([`auth`]), bodies within bounds ([`body`]), the one error table ([`code`]), the session cookie
//! ([`cookie`]), problem documents ([`problem`]), and whether an answer was delivered ([`delivery`]). What may not live
//! here: routes, the shape of any dialect, decisions about locks.

pub mod auth;
pub mod body;
pub mod clean_path;
pub mod code;
pub mod cookie;
pub mod delivery;
pub mod failed_logins;
pub mod failure;
pub mod grpc;
pub mod handover;
pub mod hint;
pub mod idempotency;
pub mod key;
pub mod message;
pub mod numbers;
pub mod parameters;
pub mod path;
pub mod peer;
pub mod pieces;
pub mod problem;
pub mod query;
pub mod respond;
pub mod service;
pub mod share;
pub mod unknown;

pub use service::{Clock, Service, Settings, Shared};
