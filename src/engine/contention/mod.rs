//! Which locks are waited for: statistics by name, and the log line about a lock that was slow to get or held for long.
//!
//! Each node counts what it applies, so every node can answer; nothing of it is replicated, and nothing is decided by it.
//! What may not live here: the table, and clocks. Time is the cluster's, as the entries carry it.

mod counts;
mod names;
mod slow_locks;
mod statistics;

pub use counts::{Counts, WINDOW};
pub use slow_locks::{SlowLocks, SlowTimes};
pub use statistics::{Contention, ContentionOrder, ContentionRow, Statistics};
