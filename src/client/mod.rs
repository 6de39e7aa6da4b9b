//! The client of sessions v1 and of the listings, for the command line, for tests and for Rust programs. It knows the
//! wire and nothing of the server.
//!
//! A client has one or several URLs of one service and keeps to one of them while it answers. Calls that nobody
//! answered are sent again, with growing, spread pauses, until the client's patience ends; those that would do harm if
//! they were done twice carry an `Idempotency-Key`. [`Keeper`] renews a hold and says until when it is certain.

mod acquire;
mod admin;
mod attempts;
mod builder;
mod call;
pub mod clock;
mod core;
mod error;
mod events;
mod identity;
mod keeper;
mod operate;
mod printable;
mod resolve;
mod retry;
mod session;
mod tls_error;
mod trust;
mod wire;

pub use acquire::Hold;
pub use admin::{ForcedRelease, Holder, Lock, LockQuery, SessionEntry};
pub use builder::ClientBuilder;
pub use core::{Client, Notice};
pub use error::ClientError;
pub use events::{Event, EventQuery, Events, Told};
pub use keeper::{Keeper, Standing};
pub use operate::{BackupError, Cluster, Member};
pub use printable::{is_treacherous, printable};
pub use retry::Patience;
pub use trust::Trust;
pub use wire::{Held, LockError, LockRequest, LockResult, Session, UnlockResult};
