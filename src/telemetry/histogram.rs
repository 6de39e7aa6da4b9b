//! Histograms: of durations, which is only atomics so that a request never waits for another one's bookkeeping; and
//! copies of what is counted elsewhere.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Upper bounds in seconds: from a grant in memory up to the longest wait worth telling apart.
const BOUNDS_SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];

/// Counts per bucket, and the sum of all that was observed. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct DurationHistogram(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// One more than there are bounds: the last one is for what exceeds them all.
    buckets: [AtomicU64; BOUNDS_SECONDS.len() + 1],
    sum_nanos: AtomicU64,
}

impl DurationHistogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS_SECONDS.partition_point(|bound| *bound < seconds);
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.0.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl EncodeMetric for DurationHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let counts = self.0.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        let bounds = BOUNDS_SECONDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let sum = Duration::from_nanos(self.0.sum_nanos.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Shows a histogram that another part keeps: set just before it is shown.
#[derive(Clone, Debug, Default)]
pub struct CopiedHistogram(Arc<Mutex<Copied>>);

#[derive(Debug, Default)]
struct Copied {
    buckets: Vec<(f64, u64)>,
    sum: f64,
}

impl CopiedHistogram {
    /// Buckets with their upper bounds, the last one infinite, and the sum of all that was observed.
    pub fn set(&self, buckets: Vec<(f64, u64)>, sum: f64) {
        *self.0.lock() = Copied { buckets, sum };
    }
}

impl EncodeMetric for CopiedHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let copied = self.0.lock();
        let count = copied.buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(copied.sum, count, &copied.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
