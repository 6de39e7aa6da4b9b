//! The requests of clients that change the table: each becomes a command, and waits for its outcome.
//!
//! What may not live here: HTTP, dialects, and anything about other nodes.

mod early_refusal;
mod grant_guard;
mod holds;
mod sessions;
mod submitter;

pub use grant_guard::GrantGuard;
pub use holds::{Granted, Released, Renewed};
pub use submitter::Submitter;
