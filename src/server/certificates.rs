//! Watches when the certificates in use end: shows it as a metric, and warns in time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;

use super::tls::x509::described;
use super::tls::{Served, x509};
use crate::engine::{Engine, clock};
use crate::telemetry::Metrics;
use crate::telemetry::certificates::CertificateLabels;

const DAY: u64 = 86_400;
/// A certificate that ends within these days is warned of, once a day.
const WARN_DAYS: u64 = 30;

/// What is in use: behind the https listeners, and for the other nodes.
#[derive(Clone)]
pub struct InUse {
    pub served: Option<Served>,
    pub engine: Engine,
}

/// One certificate, by the configuration key of its file.
type Found = (&'static str, x509::Described);

impl InUse {
    /// Reads the files of the other nodes' certificates: blocks.
    fn read(&self) -> Vec<Found> {
        let served = self.served.iter().flat_map(Served::certificates);
        let all = served.chain(self.engine.peer_certificates());
        all.flat_map(|(key, pem)| described(&pem).into_iter().map(move |one| (key, one))).collect()
    }
}

/// Looks once before it returns, then every `interval` for as long as the process lives.
pub async fn watch(in_use: InUse, metrics: Arc<Metrics>, interval: Duration) {
    let mut warned = Warned::default();
    if look(&in_use, &metrics, &mut warned).await {
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                if !look(&in_use, &metrics, &mut warned).await {
                    return;
                }
            }
        });
    }
}

/// False when the process ends.
async fn look(in_use: &InUse, metrics: &Metrics, warned: &mut Warned) -> bool {
    let in_use = in_use.clone();
    let Ok(found) = tokio::task::spawn_blocking(move || in_use.read()).await else { return false };
    let labels =
        |key: &str, subject: &str| CertificateLabels { certificate: key.to_owned(), subject: subject.to_owned() };
    metrics.certificate_expiry.set(found.iter().map(|(key, one)| (labels(key, &one.subject), one.not_after)));
    // The wall clock judges certificates only, never a lock.
    for line in warned.due(&found, UnixTime::now().as_secs()) {
        tracing::warn!("{line}");
    }
    true
}

/// Which days of which certificates were warned of.
#[derive(Default)]
struct Warned(BTreeMap<(&'static str, String, u64), u64>);

impl Warned {
    fn due(&mut self, found: &[Found], now: u64) -> Vec<String> {
        let mut still = BTreeMap::new();
        let mut lines = Vec::new();
        for (key, one) in found.iter().filter(|(_, one)| one.not_after < now + WARN_DAYS * DAY) {
            let (id, days) = ((*key, one.subject.clone(), one.not_after), one.not_after.saturating_sub(now) / DAY);
            if self.0.get(&id) != Some(&days) {
                lines.push(warning(key, one, now, days));
            }
            still.insert(id, days);
        }
        self.0 = still;
        lines
    }
}

fn warning(key: &str, one: &x509::Described, now: u64, days: u64) -> String {
    let ends = match one.not_after <= now {
        true => "has expired".to_owned(),
        false => format!("expires in {days} {}", if days == 1 { "day" } else { "days" }),
    };
    let (subject, date) = (&one.subject, clock::rfc3339(one.not_after));
    format!("the certificate {subject} of {key} {ends} ({date}): {}", advice(key))
}

fn advice(key: &str) -> &'static str {
    match key {
        "cluster.peer_cert" => "`latchd certs renew` makes new ones, see docs/certificates.md",
        "cluster.peer_ca" => "`latchd certs rotate` makes a new authority, see docs/certificates.md",
        "tls.dev_dir" => "a start makes a new development pair",
        _ => "replace its file, which is read again while the server runs; see docs/certificates.md",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(key: &'static str, not_after: u64) -> Found {
        (key, x509::Described { subject: "CN=x".to_owned(), not_after, names: Vec::new() })
    }

    #[test]
    fn a_certificate_is_warned_of_once_a_day_from_thirty_days_before_its_end() {
        let (mut warned, end) = (Warned::default(), 1_900_000_000);
        let found = [ends("tls.cert", end), ends("cluster.peer_cert", end + 365 * DAY)];
        assert!(warned.due(&found, end - 30 * DAY).is_empty());
        let told = warned.due(&found, end - 30 * DAY + 1);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("the certificate CN=x of tls.cert expires in 29 days (2030-03-17T"), "{}", told[0]);
        assert!(warned.due(&found, end - 29 * DAY).is_empty(), "the same day");
        assert!(warned.due(&found, end - DAY)[0].contains("expires in 1 day ("));
        assert!(warned.due(&found, end)[0].contains("has expired"));
        assert!(warned.due(&found, end + DAY).is_empty(), "it was said");
    }

    #[test]
    fn a_renewed_certificate_is_warned_of_no_more_and_each_says_what_to_do() {
        let (mut warned, now) = (Warned::default(), 1_900_000_000);
        for (key, word) in [
            ("cluster.peer_cert", "`latchd certs renew`"),
            ("cluster.peer_ca", "`latchd certs rotate`"),
            ("tls.client_ca", "replace its file"),
        ] {
            assert!(warned.due(&[ends(key, now + DAY)], now)[0].contains(word), "{key}");
            assert!(warned.due(&[ends(key, now + 400 * DAY)], now).is_empty());
            assert_eq!(warned.due(&[ends(key, now + DAY)], now).len(), 1, "and anew if the old one comes back");
        }
    }
}
