//! A node without peers. It has no other node to agree with, so openraft does not run: one lock orders the entries, and each is
//! applied when it is on disk.
//!
//! ```text
//! append_pending ─► log: append + fdatasync ─► flushed ─► Machine::apply ─► append_pending
//! ```
//! The log and the snapshots are those of a member of a cluster, so that the same data directory can be started with peers
//! later. A task that has something to propose calls [`Standalone::append_pending`]: in memory the entry is applied in the caller's own
//! task; on disk the caller starts the flush, unless one is under way, and the end of each flush starts the next. So
//! everything that arrives during a flush shares the next one.
//!
//! What may not live here: anything about other nodes.

mod node;
mod start;

pub use node::{EntrySource, Standalone};
pub use start::{start, take_snapshots};
