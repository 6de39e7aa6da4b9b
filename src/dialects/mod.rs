//! The wire dialects: thin translations between HTTP or gRPC and the engine's face.
//!
//! What lives here: one file (or small folder) per dialect, and what they share: the one error table ([`code`]),
//! credentials ([`auth`]), the session cookie ([`cookie`]), bodies within bounds ([`body`]).
//!
//! What may not: decisions about locks, clocks, sockets, other rooms than access, domain and engine.

pub mod admin;
pub mod auth;
pub mod body;
mod clean_path;
pub mod cluster;
pub mod code;
pub mod cookie;
pub mod delivery;
mod failed_logins;
pub mod failure;
pub mod get_lock;
pub mod grpc;
mod handover;
mod hint;
pub mod idempotency;
mod key;
pub mod lock_by_name;
pub mod lock_unlock;
mod message;
mod numbers;
pub mod openapi;
pub mod parameters;
mod path;
pub mod peer;
mod pieces;
pub mod problem;
mod query;
pub mod respond;
pub mod service;
pub mod sessions_v1;
pub mod share;
pub mod unknown;

pub use service::{Clock, Service, Settings, Shared};
