//! Histograms made of atomics: observing a value never waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds in seconds: from a flush that a disk's cache answers up to a disk that hangs.
pub const FLUSH_SECONDS: &[f64] =
    &[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Upper bounds of a wait for a lock: from a grant at once to the longest that a client waits for.
pub const WAIT_SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 86400.0];
/// Upper bounds of a request: from a grant in memory up to the longest wait worth telling apart.
pub const REQUEST_SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];
/// Upper bounds of sizes of a batch.
pub const BATCH_SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// The sum is kept in millionths.
const UNIT: f64 = 1e6;

#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds: the last is for what exceeds them all.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// What falls in the bucket and its upper bound; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    pub sum: f64,
}

impl Histogram {
    pub fn new(bounds: &'static [f64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub fn observe_duration(&self, duration: Duration) {
        self.observe(duration.as_secs_f64());
    }

    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add((value * UNIT).round() as u64, Relaxed);
    }

    pub fn read(&self) -> Distribution {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets = bounds.zip(self.counts.iter().map(|count| count.load(Relaxed))).collect();
        Distribution { buckets, sum: self.sum.load(Relaxed) as f64 / UNIT }
    }
}

impl Default for Histogram {
    /// With the bounds of flushes.
    fn default() -> Histogram {
        Histogram::new(FLUSH_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_falls_into_bucket_of_first_bound_not_exceeded() {
        let sizes = Histogram::new(BATCH_SIZES);
        [1.0, 1.0, 3.0, 1024.0, 1025.0].into_iter().for_each(|size| sizes.observe(size));
        let read = sizes.read();
        let filled: Vec<_> = read.buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(1.0, 2), (4.0, 1), (1024.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(read.sum, 2054.0);
        let durations = Histogram::new(FLUSH_SECONDS);
        durations.observe_duration(Duration::from_micros(1_500));
        assert_eq!(durations.read().sum, 0.0015);
    }
}
