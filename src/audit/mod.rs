//! The audit log: a JSON line of every administrative act before it is carried out, one of how it ended before it is answered,
//! and one of every refused credential, in a file of its own or in the log.
//!
//! An act has two lines, because one alone could not do both: a line before the act lets `audit.on_failure = "refuse"` really
//! refuse, and a line after it tells the outcome. An act that was carried out has its first line even if the process ends in
//! its midst. One thread writes, so a disk that hangs blocks no worker: who waits for a line gives up after a while.
//!
//! What may not live here: who may do what, and what an act does.

mod act;
mod cut;
mod file;
mod line;
mod queue;
mod record;

pub use act::{Act, Action, By};
pub use file::{AuditFile, FileOptions, OpenError};
pub use queue::{FileQueue, Unwritten};
pub use record::{Audit, Begun, Counts, Destination, OnFailure, Outcome, Refused};

#[cfg(test)]
mod tests;
