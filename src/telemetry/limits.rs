//! Refusals by the key of the configuration that bounds them.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    limit: &'static str,
}

/// The family `latchd_limit_refusals_total`.
#[derive(Debug)]
pub struct LimitRefusals(Family<Labels, Counter>);

impl LimitRefusals {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let family = Family::default();
        registry.register(
            "limit_refusals",
            "What was refused, by the configuration key that bounds it",
            family.clone(),
        );
        Self(family)
    }

    /// How often this bound has refused something until now, which only rises.
    pub fn set(&self, limit: &'static str, count: u64) {
        self.0.get_or_create(&Labels { limit }).inner().store(count, Ordering::Relaxed);
    }
}
