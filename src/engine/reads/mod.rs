//! Reads: linearizable ones after a read barrier, local ones from this node's table at once, and listings.
//!
//! What may not live here: anything that changes the table.

mod listing;
mod local;
mod locks_under;
mod read_barrier;
mod reader;
mod state_digest;

pub use listing::{LockPage, PageLimit, SessionPage};

pub use read_barrier::ReadBarrier;
pub use reader::{Consistency, TableReader};
