//! The settings of a client, its name resolution, and the default metadata of its locks.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustix::process::getuid;
use tokio::sync::oneshot;

use super::core::{AttemptLog, Client, ClientState, Credential, Notice, Settings};
use super::error::ClientError;
use super::trust::Trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Several times as long as a failover takes.
const RETRY_FOR: Duration = Duration::from_secs(10);
/// Keeps connections alive in address translation on the way.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);
/// The service's default of `locks.metadata_value_bytes_max`.
const METADATA_VALUE_BYTES: usize = 256;

/// Collects the settings of a [`Client`].
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    bases: Vec<Url>,
    trust: Trust,
    client_certificate: Option<(PathBuf, PathBuf)>,
    default_metadata: bool,
    settings: Settings,
}

impl Client {
    /// Builds a client of the service at `urls`: one URL, or those of several nodes with commas between them.
    pub fn builder(urls: &str) -> Result<ClientBuilder, ClientError> {
        let bases: Result<Vec<Url>, ClientError> = urls.split(',').map(|url| base(url.trim())).collect();
        Ok(ClientBuilder {
            bases: bases?,
            trust: Trust::System,
            client_certificate: None,
            default_metadata: true,
            settings: Settings {
                credential: None,
                attempt_timeout: ATTEMPT_TIMEOUT,
                retry_for: RETRY_FOR,
                unreachable_timeout: None,
                notice: None,
                trace: Vec::new(),
            },
        })
    }
}

impl ClientBuilder {
    /// Which server certificates to accept.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Sends a client certificate to services that ask for one: PEM files of the chain and of its key.
    pub fn client_certificate(mut self, certificate: PathBuf, key: PathBuf) -> Self {
        self.client_certificate = Some((certificate, key));
        self
    }

    /// Sends this password (HTTP Basic).
    pub fn password(mut self, password: &str) -> Self {
        self.settings.credential = Some(Credential::Password(password.to_owned()));
        self
    }

    /// Sends this API key (Bearer).
    pub fn api_key(mut self, key: &str) -> Self {
        self.settings.credential = Some(Credential::ApiKey(key.to_owned()));
        self
    }

    /// Sends the API key that `current` gives for each request (Bearer): for one that is replaced while the client lives,
    /// such as an identity token. `current` must not block for long.
    pub fn api_key_from(mut self, current: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.settings.credential = Some(Credential::CurrentApiKey(Box::new(current)));
        self
    }

    /// The timeout of each attempt of a call, without the time that it waits for a lock.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.attempt_timeout = timeout;
        self
    }

    /// How long a call is retried while no node answers. With zero each URL is tried once.
    pub fn retry_for(mut self, retry_for: Duration) -> Self {
        self.settings.retry_for = retry_for;
        self
    }

    /// How long a call is retried while every URL refuses connections or has an unknown name.
    pub fn unreachable_timeout(mut self, timeout: Duration) -> Self {
        self.settings.unreachable_timeout = Some(timeout);
        self
    }

    /// Calls `notice` once for each call without an answer after this time.
    pub fn notice(mut self, after: Duration, notice: Notice) -> Self {
        self.settings.notice = Some((after, notice));
        self
    }

    /// Makes every request a part of the caller's trace: `traceparent` and `tracestate` as W3C Trace Context writes them.
    /// What no header can have is left out.
    pub fn trace(mut self, parent: &str, state: Option<&str>) -> Self {
        let fields = [("traceparent", Some(parent)), ("tracestate", state)];
        let fits = |text: &&str| {
            !text.is_empty() && text.len() <= 512 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        let fitting = fields.into_iter().filter_map(|(name, text)| Some((name, text.filter(fits)?.to_owned())));
        self.settings.trace = fitting.collect();
        self
    }

    /// Whether requests for locks get `host`, `pid` and `user` as metadata, where they do not set them. The default is yes.
    pub fn default_metadata(mut self, on: bool) -> Self {
        self.default_metadata = on;
        self
    }

    /// The client; nothing is sent yet.
    pub fn build(self) -> Result<Client, ClientError> {
        // Fails only if a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let on_this_machine = self.bases.iter().all(is_loopback);
        let tls =
            self.trust.config(on_this_machine, self.settings.credential.is_some(), self.client_certificate.as_ref())?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .dns_resolver(Arc::new(Resolver))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(TCP_KEEPALIVE)
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(tls);
        let unusable = |reason| ClientError::Unreachable { url: self.bases[0].to_string(), reason };
        Ok(Client(Arc::new(ClientState {
            http: http.build().map_err(unusable)?,
            attempts: AttemptLog::new(self.bases.len()),
            bases: self.bases,
            next_url: AtomicUsize::new(0),
            settings: self.settings,
            session: Mutex::default(),
            metadata: if self.default_metadata { process_metadata() } else { Vec::new() },
            reached: AtomicBool::new(false),
            refused_connection: AtomicBool::new(false),
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

/// Resolves names with the system's resolver, each on its own thread. If the system starts no thread, that is an error;
/// the resolver of the HTTP library would panic.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move { Ok(Box::new(lookup(name.as_str().to_owned()).await?.into_iter()) as Addrs) })
    }
}

async fn lookup(name: String) -> io::Result<Vec<SocketAddr>> {
    let (sender, found) = oneshot::channel();
    let lookup = move || {
        // Fails only if the caller has given up.
        let _ = sender.send((name.as_str(), 0).to_socket_addrs().map(Iterator::collect));
    };
    let unstarted = |error| io::Error::other(format!("no thread can be started to look its name up: {error}"));
    std::thread::Builder::new().name("resolver".to_owned()).spawn(lookup).map_err(unstarted)?;
    found.await.unwrap_or_else(|_| Err(io::Error::other("the lookup of its name broke off")))
}

/// Which process holds a lock: `host`, `pid` and `user`.
fn process_metadata() -> Vec<(&'static str, String)> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let entries = [("host", host), ("pid", std::process::id().to_string()), ("user", user())];
    entries.into_iter().filter(|(_, value)| !value.is_empty() && value.len() <= METADATA_VALUE_BYTES).collect()
}

/// The name of the real user, without a directory service, which may take any time.
fn user() -> String {
    let uid = getuid().as_raw();
    let file = std::fs::read("/etc/passwd").unwrap_or_default();
    let named = name_of(&String::from_utf8_lossy(&file), uid);
    let from_environment = || ["LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    named.or_else(from_environment).filter(|name| !name.is_empty()).unwrap_or_else(|| uid.to_string())
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let mut lines = passwd.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn known_name_resolves_and_unknown_name_is_an_error() {
        let found = lookup("localhost".to_owned()).await.expect("an address");
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
        lookup("no-such-host.invalid".to_owned()).await.expect_err("no address");
    }

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
    fn other_schemes_are_refused_anywhere_in_the_list() {
        for urls in ["ftp://h", "https://a, ftp://h", "https://a,ftp://h,https://b"] {
            let refused = Client::builder(urls).expect_err("refused").to_string();
            assert_eq!(refused, "ftp://h is not an http or https URL", "{urls}");
        }
        assert!(Client::builder("https://a:1, https://b:2").is_ok());
    }

    #[test]
    fn user_name_is_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# a comment\nbad:line\nbuild:x:1000:1000::/home/build:/bin/sh\n";
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("build"));
        assert_eq!(name_of(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_of(passwd, 7), None);
    }
}
