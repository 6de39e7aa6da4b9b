//! Reading and repairing: who holds what, which sessions there are, and the forced release of a hold.
//!
//! Ours alone, so every error is a problem document. Keys are shown to admins only, session ids to nobody.

mod answers;
mod ask;
pub mod cluster;
mod cursor;
mod events;
mod force;
pub mod grpc;
mod list;
mod name;
pub mod openapi;
mod written;

pub use answers::{ForcedRelease, Hold, Lock, LockList, Session, SessionList};
pub use events::{Dropped, Event, EventSettings, StateEvent, events};
pub use force::{ForceReleaseRequest, force_release, force_release_asked};
pub use list::{list_locks, list_sessions, show_lock};

use crate::http::failure::Failure;

/// What the fields of this dialect are called in messages.
const NAMES: crate::http::code::FieldNames =
    crate::http::code::FieldNames { name: "name", size: "size", lease: "lease", wait: "wait" };

fn from_fault(fault: crate::engine::Fault) -> Failure {
    Failure::from_fault(&fault, &NAMES)
}
