//! What is known of identity tokens and their issuers, as metrics.

use crate::access::oidc::{IdentityTokens, IssuerReport};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Registers what they say now: nothing without issuers.
pub fn register(shown: &mut Registry, tokens: Option<&IdentityTokens>) {
    let refused = Family::<[(&str, &str); 1], Counter>::default();
    for (reason, count) in tokens.iter().flat_map(|tokens| tokens.refusals()) {
        refused.get_or_create(&[("reason", reason)]).inc_by(count);
    }
    shown.register("oidc_refusals", "Identity tokens refused, by reason", refused);
    let reports: Vec<IssuerReport> = tokens.iter().flat_map(|tokens| tokens.reports()).collect();
    let fetches = Family::<[(&str, String); 2], Counter>::default();
    let (keys, fetched) =
        (Family::<[(&str, String); 1], Gauge>::default(), Family::<[(&str, String); 1], Gauge>::default());
    for report in reports {
        let issuer = report.issuer;
        for (result, count) in [("ok", report.fetches), ("failed", report.failures)] {
            let labels = [("issuer", issuer.clone()), ("result", result.to_owned())];
            fetches.get_or_create(&labels).inc_by(count);
        }
        keys.get_or_create(&[("issuer", issuer.clone())]).set(report.keys as i64);
        fetched.get_or_create(&[("issuer", issuer)]).set(report.fetched_unix_seconds as i64);
    }
    shown.register("oidc_fetches", "Fetches of the keys of an issuer of identity tokens", fetches);
    shown.register("oidc_keys", "Keys of an issuer that verify its identity tokens; 0: none of them is accepted", keys);
    let help = "When the keys of an issuer were last fetched, in seconds since 1970; 0: never";
    shown.register("oidc_keys_timestamp_seconds", help, fetched);
}
