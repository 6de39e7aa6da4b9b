//! Watches the certificates in use: shows as a metric when they end, and warns of that in time, and of those that are not
//! valid yet or not for what they are used for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use tokio::sync::watch;

use super::tls::x509::described;
use super::tls::{Served, x509};
use crate::base::clock;
use crate::config::Warning;
use crate::engine::Engine;
use crate::telemetry::Metrics;
use crate::telemetry::gauges::CertificateLabels;

const DAY: u64 = 86_400;
/// A certificate that ends within these days is warned of, once a day.
const WARN_DAYS: u64 = 30;

/// What is in use: behind the https listeners, and for the other nodes.
#[derive(Clone)]
pub struct InUse {
    pub served: Option<Served>,
    pub engine: Engine,
}

/// One certificate, by the configuration key of its file, and whether it is the first there.
struct Found {
    key: &'static str,
    one: x509::Described,
    is_first: bool,
}

impl InUse {
    /// Reads the files of the other nodes' certificates: blocks.
    fn read(&self) -> Vec<Found> {
        let served = self.served.iter().flat_map(Served::certificates);
        let all = served.chain(self.engine.peer_certificates());
        let of_file = |(key, pem): (&'static str, Vec<u8>)| {
            let found = described(&pem).into_iter().enumerate();
            found.map(move |(at, one)| Found { key, one, is_first: at == 0 })
        };
        all.flat_map(of_file).collect()
    }
}

/// Looks once before it returns, then every `interval` for as long as the process lives, and whenever it is asked to: then
/// all is said again.
pub async fn watch(in_use: InUse, metrics: Arc<Metrics>, interval: Duration, mut reloads: watch::Receiver<()>) {
    let mut warned = Warned::default();
    if look(&in_use, &metrics, &mut warned).await {
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(interval) => {}
                    Ok(()) = reloads.changed() => warned = Warned::default(),
                }
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
    let ends = found.iter().map(|found| (labels(found.key, &found.one.subject), found.one.not_after));
    metrics.certificate_expiry.set(ends);
    // The wall clock judges certificates only, never a lock.
    for line in warned.due(&found, UnixTime::now().as_secs()) {
        tracing::warn!("{line}");
    }
    true
}

/// What was warned of, and on which days of which certificates.
#[derive(Default)]
struct Warned {
    ends: BTreeMap<(&'static str, String, u64), u64>,
    others: BTreeSet<String>,
}

impl Warned {
    fn due(&mut self, found: &[Found], now: u64) -> Vec<String> {
        let mut still = BTreeMap::new();
        let mut lines = Vec::new();
        for Found { key, one, .. } in found.iter().filter(|found| ends_soon(&found.one, now)) {
            let (id, days) = ((*key, one.subject.clone(), one.not_after), days_left(one, now));
            if self.ends.get(&id) != Some(&days) {
                lines.push(ending(key, one, now, days).to_string());
            }
            still.insert(id, days);
        }
        self.ends = still;
        let unfit = found.iter().flat_map(|found| unfit(found, now));
        let others: BTreeSet<String> = unfit.map(|warning| warning.to_string()).collect();
        lines.extend(others.difference(&self.others).cloned());
        self.others = others;
        lines
    }
}

/// What is wrong with the certificates of one file at this time, in seconds since 1970.
pub fn warnings(key: &'static str, chain: Vec<x509::Described>, now: u64) -> Vec<Warning> {
    let found: Vec<Found> =
        chain.into_iter().enumerate().map(|(at, one)| Found { key, one, is_first: at == 0 }).collect();
    let is_ending = |found: &&Found| ends_soon(&found.one, now);
    let ending = found.iter().filter(is_ending).map(|found| {
        let days = days_left(&found.one, now);
        ending(key, &found.one, now, days)
    });
    ending.chain(found.iter().flat_map(|found| unfit(found, now))).collect()
}

fn ends_soon(one: &x509::Described, now: u64) -> bool {
    one.not_after < now + WARN_DAYS * DAY
}

fn days_left(one: &x509::Described, now: u64) -> u64 {
    one.not_after.saturating_sub(now) / DAY
}

fn ending(key: &str, one: &x509::Described, now: u64, days: u64) -> Warning {
    let ends = match one.not_after <= now {
        true => "has expired".to_owned(),
        false => format!("expires in {days} {}", if days == 1 { "day" } else { "days" }),
    };
    let (subject, date) = (&one.subject, clock::rfc3339(one.not_after));
    Warning::new(format!("the certificate {subject} of {key} {ends} ({date})"), advice(key))
}

/// Why the other side may refuse it, besides its end.
fn unfit(Found { key, one, is_first }: &Found, now: u64) -> Vec<Warning> {
    let (subject, uses) = (&one.subject, one.uses);
    let begins = (one.not_before > now).then(|| format!("is not valid before {}", clock::rfc3339(one.not_before)));
    let is_authority = matches!(*key, "tls.client_ca" | "cluster.peer_ca");
    let is_for_nodes = *key == "cluster.peer_cert";
    let wrong = match (is_authority, is_first) {
        (true, _) => (!uses.authority).then_some("is no authority's (basicConstraints CA)"),
        // What stands behind the first is its authorities.
        (false, false) => None,
        (false, true) if !uses.server => Some("is not for servers (extendedKeyUsage serverAuth)"),
        (false, true) if is_for_nodes && !uses.client => Some("is not for clients (extendedKeyUsage clientAuth)"),
        (false, true) => None,
    };
    let what = begins.into_iter().chain(wrong.map(str::to_owned));
    what.map(|what| Warning::new(format!("the certificate {subject} of {key} {what}"), advice(key))).collect()
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
    use super::super::tls::x509::Uses;
    use super::*;

    fn ends(key: &'static str, not_after: u64) -> Found {
        let uses = Uses { authority: key.ends_with("_ca"), server: true, client: true };
        let one = x509::Described { subject: "CN=x".to_owned(), not_before: 0, not_after, uses, names: Vec::new() };
        Found { key, one, is_first: true }
    }

    #[test]
    fn unfit_certificate_is_warned_of_once_until_reload() {
        let (mut warned, now) = (Warned::default(), 1_900_000_000);
        let with = |key, change: fn(&mut x509::Described)| {
            let mut found = ends(key, now + 400 * DAY);
            change(&mut found.one);
            found
        };
        let found = [
            with("tls.cert", |one| one.not_before = 1_900_000_001),
            with("tls.cert", |one| one.uses.server = false),
            with("tls.client_ca", |one| one.uses.authority = false),
            with("cluster.peer_cert", |one| one.uses.client = false),
            with("cluster.peer_ca", |one| one.uses.authority = false),
            Found { is_first: false, ..with("tls.cert", |one| one.uses.server = false) },
        ];
        let told = warned.due(&found, now).join("\n");
        for part in [
            "of tls.cert is not valid before 2030-03-17T",
            "of tls.cert is not for servers",
            "of tls.client_ca is no authority's",
            "of cluster.peer_cert is not for clients",
            "of cluster.peer_ca is no authority's",
        ] {
            assert_eq!(told.matches(part).count(), 1, "{part} in {told}");
        }
        assert_eq!(told.lines().count(), 5, "{told}");
        assert!(warned.due(&found, now).is_empty(), "it was said");
        let fit = ends("tls.cert", now + 400 * DAY);
        assert!(warned.due(&[fit], now).is_empty());
        assert_eq!(warned.due(&found, now).len(), 5, "and anew when it comes back");
    }

    #[test]
    fn expiring_certificate_is_warned_of_daily_for_thirty_days() {
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
    fn renewed_certificate_ends_its_warnings() {
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
