//! Gauges with labels that come and go: what is not shown any more is taken away.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A certificate: the configuration key of its file, and its subject. Of two that agree in both, the one that ends first
/// is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct CertificateLabels {
    pub certificate: String,
    pub subject: String,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct NodeLabels {
    pub node: u64,
}

/// API keys of one role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct RoleLabels {
    pub role: &'static str,
}

/// API keys that are valid, or have expired.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct KeyLabels {
    pub state: &'static str,
}

/// A family of gauges whose labels come and go together.
#[derive(Debug)]
pub struct Gauges<L> {
    family: Family<L, Gauge>,
    shown: Mutex<BTreeMap<L, u64>>,
}

impl<L: Clone + Debug + Ord + Hash + EncodeLabelSet + Send + Sync + 'static> Gauges<L> {
    pub(super) fn registered(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<L, Gauge>::default();
        registry.register(name, help, family.clone());
        Self { family, shown: Mutex::default() }
    }

    /// Shows these values and no others; of two with the same labels the smaller one.
    pub fn set(&self, values: impl Iterator<Item = (L, u64)>) {
        let mut shown = self.shown.lock();
        let mut now = BTreeMap::new();
        for (labels, value) in values {
            now.entry(labels).and_modify(|least: &mut u64| *least = value.min(*least)).or_insert(value);
        }
        for (labels, value) in &now {
            self.family.get_or_create(labels).set(i64::try_from(*value).unwrap_or(i64::MAX));
        }
        for gone in shown.keys().filter(|labels| !now.contains_key(*labels)) {
            self.family.remove(gone);
        }
        *shown = now;
    }
}
