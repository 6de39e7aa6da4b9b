//! The HTTP kit: what every dialect and our own API need of HTTP and gRPC.
//!
//! Each of them declares itself with a [`declaration::Declaration`]. Shared by all: credentials ([`auth`]), bodies within
//! bounds ([`body`]), the one error table ([`code`]), the session cookie ([`cookie`]), problem documents ([`problem`]),
//! and whether an answer was delivered ([`delivery`]). What may not live here: the routes or the shape of any dialect,
//! and decisions about locks.

pub mod address_limits;
pub mod administration;
pub mod app;
pub mod auth;
pub mod body;
pub mod by_hand;
pub mod catalog;
pub mod code;
pub mod compression;
pub mod connection;
pub mod cookie;
pub mod deadlock;
pub mod declaration;
pub mod delivery;
pub mod ending_keys;
pub mod endpoint;
pub mod failed_logins;
pub mod failure;
pub mod frozen;
pub mod grpc;
pub mod header_fields;
pub mod idempotency;
mod identity_tokens;
pub mod json_object;
pub mod json_stream;
pub mod key;
pub mod problem;
pub mod query;
pub mod rates;
pub mod respond;
pub mod seconds;
pub mod standing;
pub mod unknown_fields;

pub use app::{App, AppState};
pub use catalog::{Catalog, GrpcService, HoldDialect};
pub use code::{Code, FieldNames};
pub use connection::ClientInfo;
pub use declaration::{Declaration, Routes};
pub use failure::Failure;
pub use problem::Problem;
pub use query::Query;
