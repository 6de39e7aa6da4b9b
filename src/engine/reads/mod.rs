//! Reads: linearizable ones after a read barrier, local ones from this node's table at once, and listings.
//!
//! What may not live here: anything that changes the table.

mod listing;
mod read_barrier;
mod reader;

pub use listing::{LockPage, PageLimit, RankedPage, SessionPage};

pub use read_barrier::ReadBarrier;
pub use reader::{Consistency, TableReader};
