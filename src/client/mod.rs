//! The client of sessions v1 and of the listings, for the command line, for tests and for Rust programs. It imports
//! nothing of the server but `base`.
//!
//! A client has one or several URLs of one service and keeps to one of them while it answers. A call without an answer is
//! sent again, with backoff and jitter, until the client's retry time ends; a call that would do harm if it were repeated
//! carries an `Idempotency-Key`. [`Keeper`] renews a hold and knows until when it is certain.

mod admin;
mod builder;
mod call;
pub mod clock;
mod contention;
mod core;
mod election;
mod error;
mod events;
mod freezes;
mod hold;
mod inspect;
mod names;
mod printable;
mod retry;
mod session;
mod tls_error;
mod trust;
mod wire;

pub use admin::{
    BackupError, Cluster, EndedHold, ForcedRelease, Holder, Lock, LockFreeze, LockHistory, LockQuery, Member,
    SessionEntry, ShownTerms, Waiter,
};
pub use builder::ClientBuilder;
pub use call::NO_TIMEOUT;
pub use contention::{ContendedLock, Contention, ContentionQuery};
pub use core::{Client, Notice};
pub use election::Leader;
pub use error::ClientError;
pub use events::{Event, EventLeader, EventQuery, Events, StreamItem};
pub use freezes::{Freeze, FreezeEnd, FreezeRequest};
pub use hold::{AcquiredLock, HoldStatus, Keeper};
pub use inspect::served_certificate;
pub use printable::{is_invisible, printable};
pub use trust::Trust;
pub use wire::{BlockedBy, LockError, LockRequest, LockResult, Session, UnlockResult};
