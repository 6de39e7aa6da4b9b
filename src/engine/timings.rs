//! What the engine measures besides counting.

use crate::base::histogram::Histogram;

/// Histograms of the proposer and of waits.
#[derive(Debug)]
pub struct Timings {
    /// From handing an entry to the log until it is applied.
    pub(super) commit: Histogram,
    /// From asking for a lock until it was granted, or the wait for it ended.
    pub(super) wait: Histogram,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings { commit: Histogram::of_durations(), wait: Histogram::of_waits() }
    }
}
