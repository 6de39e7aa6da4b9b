//! How a client is set up: where, whom it trusts, what it shows.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Url;

use super::attempts::AttemptLog;
use super::core::{Client, ClientState, Credential, Notice};
use super::error::ClientError;
use super::identity;
use super::resolve::Resolver;
use super::trust::Trust;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an attempt may take where nobody says otherwise.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call is repeated where nobody says otherwise: several times what a failover takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Keeps the state of connections alive in whatever translates addresses on the way.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// Collects the settings of a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    bases: Vec<Url>,
    trust: Trust,
    identity: Option<(PathBuf, PathBuf)>,
    credential: Option<Credential>,
    attempt_timeout: Duration,
    patience: Duration,
    default_metadata: bool,
    absence: Option<Duration>,
    notice: Option<(Duration, Notice)>,
}

impl Client {
    /// Begins a client of the service at `urls`: one, or several nodes of it with commas between them.
    pub fn builder(urls: &str) -> Result<ClientBuilder, ClientError> {
        ClientBuilder::new(urls)
    }
}

impl ClientBuilder {
    fn new(urls: &str) -> Result<Self, ClientError> {
        let bases: Result<Vec<Url>, ClientError> = urls.split(',').map(|url| base(url.trim())).collect();
        Ok(Self {
            bases: bases?,
            trust: Trust::System,
            identity: None,
            credential: None,
            attempt_timeout: ATTEMPT_TIMEOUT,
            patience: PATIENCE,
            default_metadata: true,
            absence: None,
            notice: None,
        })
    }

    /// Sets whom to trust.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Shows this certificate to services that ask for one: PEM files of the chain and of its key.
    #[must_use]
    pub fn identity(mut self, certificate: PathBuf, key: PathBuf) -> Self {
        self.identity = Some((certificate, key));
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

    /// Bounds every attempt of a call, the time that it asks to wait for a lock aside.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Bounds how long a call is sent again while no node can answer it. With nothing each URL is tried once.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Bounds further how long a call is sent again where nobody is there: every connection is refused, or no name is known.
    #[must_use]
    pub fn absence(mut self, absence: Duration) -> Self {
        self.absence = Some(absence);
        self
    }

    /// Calls this once for each call that has no answer after so long, with what is known.
    #[must_use]
    pub fn notice(mut self, after: Duration, notice: Notice) -> Self {
        self.notice = Some((after, notice));
        self
    }

    /// Whether locks are taken with `host`, `pid` and `user` as metadata, where a request has none of that name: who is
    /// in somebody's way is known by them. On unless switched off.
    #[must_use]
    pub fn default_metadata(mut self, on: bool) -> Self {
        self.default_metadata = on;
        self
    }

    /// The client; nothing is sent yet.
    pub fn build(self) -> Result<Client, ClientError> {
        // Fails only when a provider is installed already, which is then as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .no_proxy()
            .dns_resolver(Arc::new(Resolver))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(TCP_KEEPALIVE)
            .redirect(reqwest::redirect::Policy::none());
        let on_this_machine = self.bases.iter().all(is_loopback);
        let tls = self.trust.config(on_this_machine, self.credential.is_none(), self.identity.as_ref())?;
        http = http.tls_backend_preconfigured(tls);
        let unusable = |reason| ClientError::Unreachable { url: self.bases[0].to_string(), reason };
        Ok(Client(Arc::new(ClientState {
            http: http.build().map_err(unusable)?,
            attempts: AttemptLog::new(self.bases.len()),
            bases: self.bases,
            turn: AtomicUsize::new(0),
            credential: self.credential,
            session: Mutex::default(),
            attempt_timeout: self.attempt_timeout,
            patience: self.patience,
            metadata: if self.default_metadata { identity::metadata() } else { Vec::new() },
            reached: AtomicBool::new(false),
            refused_connection: AtomicBool::new(false),
            absence: self.absence,
            notice: self.notice,
        })))
    }
}

fn base(url: &str) -> Result<Url, ClientError> {
    let base = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    base.ok_or_else(|| ClientError::BadUrl(url.to_owned()))
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
    fn other_schemes_are_refused_wherever_they_stand_in_the_list() {
        for urls in ["ftp://h", "https://a, ftp://h", "https://a,ftp://h,https://b"] {
            let refused = Client::builder(urls).expect_err("refused").to_string();
            assert_eq!(refused, "ftp://h is not an http or https URL", "{urls}");
        }
        assert!(Client::builder("https://a:1, https://b:2").is_ok());
    }
}
