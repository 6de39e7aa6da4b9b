//! Drives the table: batches commands into log entries, stamps cluster time, wakes waiting requests.

pub mod clock;
pub mod error;
pub mod face;
pub mod listing;
pub mod raft;

pub use error::{EngineError, Fault};
pub use face::{Engine, Granted, LockPage, Overview, Released, Renewed, SessionPage};
