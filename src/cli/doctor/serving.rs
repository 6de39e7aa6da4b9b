//! The server of this machine: where it listens, and whether it serves the certificate that lies in its file.

use std::time::Duration;

use super::certificates;
use super::finding::Finding;
use crate::cli::health;
use crate::client::served_certificate;
use crate::config::{Config, Scheme};

/// Where the server of this configuration can be asked everything; the error says why it cannot.
pub fn url(config: &Config) -> Result<String, String> {
    let https = health::direct(config).find(|url| url.scheme == Scheme::Https);
    let listens = https.or_else(|| health::direct(config).next());
    let listens = listens.ok_or("no URL in listen can be asked without a proxy")?;
    health::reached_here(listens).map_err(|failure| failure.message)
}

/// Compares the certificate of each https listener that answers with the file.
pub async fn check(config: &Config, timeout: Duration) -> Vec<Finding> {
    let Some(file) = certificates::configured(config) else { return Vec::new() };
    let mut findings = Vec::new();
    for listens in health::direct(config).filter(|url| url.scheme == Scheme::Https) {
        let Ok(url) = health::reached_here(listens) else { continue };
        // Whoever does not answer was reported already.
        if let Ok(shown) = served_certificate(&url, timeout).await {
            findings.push(compared(&url, shown == file, config.tls.reload_interval));
        }
    }
    findings
}

fn compared(url: &str, is_same: bool, interval: Duration) -> Finding {
    let check = format!("{url} certificate");
    match is_same {
        true => Finding::ok(check, "it is the one in the configured file"),
        false => Finding::warn(
            check,
            "it is another one than in the configured file",
            format!(
                "wait {} (tls.reload_interval) or send SIGHUP; if it stays, the log of the server says why the file is not \
                 used, or another server listens there",
                humantime::format_duration(interval)
            ),
        ),
    }
}
