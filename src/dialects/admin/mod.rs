//! Reading and repairing: who holds what, which sessions there are, and the forced release of a hold.
//!
//! Ours alone, so every error is a problem document. Keys are shown to admins only, session ids to nobody.

mod answers;
mod ask;
mod cursor;
mod force;
mod list;
mod name;

pub use answers::{ForcedRelease, Hold, Lock, LockList, Session, SessionList};
pub use force::{ForceReleaseRequest, force_release};
pub use list::{list_locks, list_sessions, show_lock};

use super::failure::Failure;
use super::problem::problem;
use super::respond::with_header;
use super::service::Attempt;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Serialize;

/// What the fields of this dialect are called in messages.
const NAMES: super::code::FieldNames =
    super::code::FieldNames { name: "name", size: "size", lease: "lease", wait: "wait" };

/// Every answer shows a moment, so nobody may keep it.
fn answer(attempt: Attempt<impl Serialize>) -> Response {
    let response = match attempt {
        Ok(body) => super::respond::json(StatusCode::OK, super::respond::to_json(&body)),
        Err(failure) => problem(&failure),
    };
    with_header(response, header::CACHE_CONTROL, "no-store")
}

fn from_fault(fault: crate::engine::Fault) -> Failure {
    Failure::from_fault(&fault, &NAMES)
}
