//! The service in numbers.

use crate::base::histogram::Distribution;
use crate::domain::view::Counts;
use crate::engine::table_host::{FullLimitCounts, Stats};
use crate::raft::Progress;
use std::time::Duration;

pub struct Overview {
    pub counts: Counts,
    /// What the table takes in memory by its own count, and may take; 0: no bound.
    pub table_bytes: u64,
    pub table_bytes_max: u64,
    /// Refusals because a limit was reached.
    pub full: FullLimitCounts,
    pub stats: Stats,
    pub leader: bool,
    pub term: u64,
    pub log: Progress,
    pub disk_nearly_full: bool,
    /// The free space below which it is nearly full.
    pub disk_reserve_bytes: u64,
    pub event_readers: u64,
    /// Commands of a log entry.
    pub batch: Distribution,
    /// From proposing an entry until it is applied.
    pub commit: Distribution,
    /// From asking for a lock until it was granted, or the wait for it ended.
    pub wait: Distribution,
    /// From handing an append to the disk until it is flushed.
    pub flush: Distribution,
    /// How long the oldest unfinished flush has taken.
    pub flush_stalled: Duration,
    /// Since this process started.
    pub uptime: Duration,
}
