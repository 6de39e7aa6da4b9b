//! What is known of the other nodes: a gauge for each, which goes when the node does.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    node: u64,
}

/// The family `latchd_peer_lag_entries`.
#[derive(Debug)]
pub struct PeerLag {
    family: Family<Labels, Gauge>,
    shown: Mutex<BTreeSet<u64>>,
}

impl PeerLag {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Gauge>::default();
        registry.register(
            "peer_lag_entries",
            "Log entries that another node lacks; only the leader knows and shows it",
            family.clone(),
        );
        Self { family, shown: Mutex::default() }
    }

    /// Shows these nodes and no others.
    pub fn set(&self, lags: impl Iterator<Item = (u64, u64)>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = std::mem::take(&mut *shown);
        for (node, lag) in lags {
            self.family.get_or_create(&Labels { node }).set(i64::try_from(lag).unwrap_or(i64::MAX));
            gone.remove(&node);
            shown.insert(node);
        }
        for node in gone {
            self.family.remove(&Labels { node });
        }
    }
}
