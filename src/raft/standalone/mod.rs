//! A node without peers. It has no other node to agree with, so openraft does not run: one lock orders the entries, and each is
//! applied when it is on disk.
//!
//! ```text
//! pump ─► next entry ─► log: append + fdatasync ─► flushed ─► Machine::apply ─► pump
//! ```
//! The log and the snapshots are those of a member of a cluster, so that the same data directory can be started with peers
//! later. A task that has something to propose calls [`Standalone::pump`]: in memory the entry is applied in the caller's own
//! task; on disk the caller starts the flush, unless one is under way, and the end of each flush starts the next. So
//! everything that arrives during a flush shares the next one.
//!
//! What may not live here: anything about other nodes.

mod log;
mod order;
mod snapshots;
mod start;

pub use log::StandaloneLog;
pub use order::{EntrySource, Standalone};
pub use snapshots::take_snapshots;
pub use start::start;
