//! The requests of clients that change the table: each becomes a command, and waits for its outcome.
//!
//! What may not live here: HTTP, dialects, and anything about other nodes.

mod changes;
mod holds;
mod sessions;
mod settings;
mod submitter;

pub use holds::{Changed, GrantGuard, Granted, Released, Renewed};
pub use submitter::Submitter;
