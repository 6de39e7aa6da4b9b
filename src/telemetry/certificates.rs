//! When the certificates in use end: a gauge for each, which goes when the certificate does.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Which one: the configuration key of its file, and its subject. Of two that agree in both, the one that ends first is
/// shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct CertificateLabels {
    pub certificate: String,
    pub subject: String,
}

/// The family `latchd_certificate_expiry_timestamp_seconds`.
#[derive(Debug)]
pub struct CertificateExpiry {
    family: Family<CertificateLabels, Gauge>,
    shown: Mutex<BTreeMap<CertificateLabels, u64>>,
}

impl CertificateExpiry {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let family = Family::<CertificateLabels, Gauge>::default();
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When a certificate in use ends, in seconds since 1970, by the configuration key of its file",
            family.clone(),
        );
        Self { family, shown: Mutex::default() }
    }

    /// Shows these certificates and no others.
    pub fn set(&self, ends: impl Iterator<Item = (CertificateLabels, u64)>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = BTreeMap::new();
        for (labels, end) in ends {
            now.entry(labels).and_modify(|first: &mut u64| *first = end.min(*first)).or_insert(end);
        }
        for (labels, end) in &now {
            self.family.get_or_create(labels).set(i64::try_from(*end).unwrap_or(i64::MAX));
        }
        for gone in shown.keys().filter(|labels| !now.contains_key(*labels)) {
            self.family.remove(gone);
        }
        *shown = now;
    }
}
