//! How a client is set up: where, whom it trusts, what it shows.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Url};

use super::{Client, ClientError, Credential};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which certificates an https server may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the system's authorities.
    System,
    /// Those of the authorities in this PEM file.
    Authority(PathBuf),
    /// Any, from a server on this machine: the self-signed development pair. Elsewhere as `System`.
    AnyOnLoopback,
}

/// Collects the settings of a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    base: Url,
    trust: Trust,
    credential: Option<Credential>,
    timeout: Option<Duration>,
}

impl ClientBuilder {
    pub(super) fn new(url: &str) -> Result<Self, ClientError> {
        let base = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| ClientError::BadUrl(url.to_owned()))?;
        Ok(Self { base, trust: Trust::System, credential: None, timeout: None })
    }

    /// Sets whom to trust.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Shows this password (HTTP Basic).
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.credential = Some(Credential::Password(password.to_owned()));
        self
    }

    /// Shows this API key (Bearer).
    #[must_use]
    pub fn api_key(mut self, key: &str) -> Self {
        self.credential = Some(Credential::ApiKey(key.to_owned()));
        self
    }

    /// Bounds every call, waits included.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The client; nothing is sent yet.
    pub fn build(self) -> Result<Client, ClientError> {
        // Fails only when a provider is installed already, which is then as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder().no_proxy().cookie_store(true).connect_timeout(CONNECT_TIMEOUT);
        if let Some(timeout) = self.timeout {
            http = http.timeout(timeout);
        }
        http = match &self.trust {
            Trust::Authority(path) => http.tls_certs_only(authorities(path)?),
            Trust::AnyOnLoopback if is_loopback(&self.base) => http.tls_danger_accept_invalid_certs(true),
            Trust::AnyOnLoopback | Trust::System => http,
        };
        let unreachable = |reason| ClientError::Unreachable { url: self.base.to_string(), reason };
        Ok(Client { http: http.build().map_err(unreachable)?, base: self.base, credential: self.credential })
    }
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let bad = |reason: String| ClientError::BadAuthority { path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() { Err(bad("it holds no PEM certificate".to_owned())) } else { Ok(certificates) }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, expected) in [
            ("https://localhost:1", true),
            ("https://127.0.0.2", true),
            ("https://[::1]:1", true),
            ("https://localhost.example.org", false),
            ("https://127.0.0.1.example.org", false),
            ("https://192.0.2.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).expect(url)), expected, "{url}");
        }
    }

    #[test]
    fn other_schemes_are_refused() {
        assert_eq!(Client::builder("ftp://h").expect_err("refused").to_string(), "ftp://h is not an http or https URL");
    }
}
