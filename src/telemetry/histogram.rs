//! Copies of histograms that other parts keep, as metrics.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::base::histogram::Distribution;

/// Set just before it is shown.
#[derive(Clone, Debug, Default)]
pub struct CopiedHistogram(Arc<Mutex<Distribution>>);

impl CopiedHistogram {
    pub fn set(&self, copied: Distribution) {
        *self.0.lock() = copied;
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
