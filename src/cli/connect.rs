//! How a subcommand reaches the service: flags, then `LATCHD_*` variables, then the user's file, then this machine.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use parking_lot::Mutex;
use rustix::process::geteuid;
use serde::Deserialize;

use super::{Failure, exit, output_queue};
use crate::client::{Client, ClientBuilder, ClientError, Trust};
use crate::config::{Secret, read_settings, secret_file, toml_errors};

/// Where a service started without any flags is.
const DEFAULT_URL: &str = "https://127.0.0.1:8443";
/// The timeout of one answer to an admin's command.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a command is retried while every URL refuses connections.
const UNREACHABLE_TIMEOUT: Duration = Duration::from_secs(2);
/// When a terminal shows what the command waits for.
const NOTICE_DELAY: Duration = Duration::from_secs(1);
/// The user's file, below `$XDG_CONFIG_HOME` or `~/.config`.
const FILE: &str = "latchd.toml";
/// The certificate that a server without one makes in its `tls.dev_dir`.
const DEV_CERT: &str = "dev-cert.pem";

/// The flags of every subcommand that talks to a running service; a layer of the settings has the same keys.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Connection")]
pub struct Connect {
    /// Where the service is, https://127.0.0.1:8443 unless given; several nodes with commas between them (also
    /// LATCHD_URL)
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// PEM file with the authority of the service's certificate, or that certificate itself (also LATCHD_CA); without it
    /// the system's authorities are trusted, and on this machine also certs/dev-cert.pem, which `latchd serve` makes.
    /// Other certificates are accepted on this machine only where no key and no password is sent
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// PEM file with a certificate to show to a service that asks for one (also LATCHD_CLIENT_CERT)
    #[arg(long, global = true, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// PEM file with the private key of that certificate (also LATCHD_CLIENT_KEY)
    #[arg(long, global = true, value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// API key (also LATCHD_API_KEY, which other users of this machine cannot see)
    #[arg(long, global = true, value_name = "KEY", conflicts_with = "password", value_parser = secret)]
    api_key: Option<Secret>,
    /// File that holds the API key, or an identity token that others replace in time: it is read again for each request (also
    /// LATCHD_API_KEY_FILE)
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["api_key", "password", "password_file"])]
    api_key_file: Option<PathBuf>,
    /// Password (also LATCHD_PASSWORD, which other users of this machine cannot see)
    #[arg(long, global = true, value_name = "PASSWORD", value_parser = secret)]
    password: Option<Secret>,
    /// File that holds the password (also LATCHD_PASSWORD_FILE)
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["api_key", "password"])]
    password_file: Option<PathBuf>,
}

impl Connect {
    /// A client whose calls take at most `timeout`.
    pub fn client(&self, timeout: Duration) -> Result<Client, Failure> {
        let builder = self.builder()?.timeout(timeout);
        builder.unreachable_timeout(UNREACHABLE_TIMEOUT).notice(NOTICE_DELAY, notice).build().map_err(Failure::config)
    }

    /// Whether a flag names the service.
    pub fn names_url(&self) -> bool {
        self.url.is_some()
    }

    /// Whether a certificate is shown to services that ask for one.
    pub fn has_client_certificate(&self) -> Result<bool, Failure> {
        Ok(self.layers()?.client_cert.is_some())
    }

    /// A client of each URL by itself, which tries it once. Without a URL in any layer it is the one given here, whose
    /// server has this certificate.
    pub fn each(
        &self,
        own: Option<(&str, Option<PathBuf>)>,
        timeout: Duration,
    ) -> Result<Vec<(String, Client)>, Failure> {
        let mut layers = self.layers()?;
        let own = own.filter(|_| layers.url.is_none());
        let urls = layers.url.take().unwrap_or_else(|| own.as_ref().map_or(DEFAULT_URL, |(url, _)| *url).to_owned());
        let client = |url: &str| {
            let one = Connect { url: Some(url.to_owned()), ..layers.clone() };
            let has_authority = one.ca.is_some();
            let mut builder = one.into_builder()?.timeout(timeout).retry_for(Duration::ZERO);
            if let Some((_, certificate)) = own.clone().filter(|_| !has_authority) {
                builder = builder.trust(Trust::Pinned(certificate));
            }
            Ok((url.to_owned(), builder.build().map_err(Failure::config)?))
        };
        urls.split(',').map(|url| client(url.trim())).collect()
    }

    /// Whether a key or a password is sent; its rights may be limited.
    pub fn has_credential(&self) -> Result<bool, Failure> {
        Ok(self.layers()?.sets_credential())
    }

    /// A client without a credential, for probes.
    pub fn probe(&self, url: &str) -> Result<ClientBuilder, Failure> {
        let Connect { client_cert, client_key, .. } = self.layers()?;
        Connect { url: Some(url.to_owned()), client_cert, client_key, ..Connect::default() }.into_builder()
    }

    /// The settings, for subcommands that add their own.
    pub fn builder(&self) -> Result<ClientBuilder, Failure> {
        let builder = self.layers()?.into_builder()?;
        // Whoever started this command may trace it; a command that `latchd lock` starts inherits both variables.
        let variable = |name| std::env::var(name).ok();
        Ok(match variable("TRACEPARENT") {
            Some(parent) => builder.trace(&parent, variable("TRACESTATE").as_deref()),
            None => builder,
        })
    }

    fn layers(&self) -> Result<Connect, Failure> {
        let file = file().map(Connect::read).transpose()?.unwrap_or_default();
        Ok(self.clone().without_empty().over(Connect::environment()).over(file))
    }

    /// A script's empty variable counts as unset.
    fn without_empty(self) -> Connect {
        let is_set = |secret: &Secret| !secret.expose().is_empty();
        Connect { api_key: self.api_key.filter(is_set), password: self.password.filter(is_set), ..self }
    }

    fn environment() -> Connect {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let secret = |name| text(name).map(Secret::new);
        Connect {
            url: text("LATCHD_URL"),
            ca: set("LATCHD_CA"),
            client_cert: set("LATCHD_CLIENT_CERT"),
            client_key: set("LATCHD_CLIENT_KEY"),
            api_key: secret("LATCHD_API_KEY"),
            api_key_file: set("LATCHD_API_KEY_FILE"),
            password: secret("LATCHD_PASSWORD"),
            password_file: set("LATCHD_PASSWORD_FILE"),
        }
    }

    /// The user's file; paths in it are relative to its folder.
    fn read(path: PathBuf) -> Result<Connect, Failure> {
        let bad = |reason: String| Failure::config(format!("{} cannot be used: {reason}", path.display()));
        let text = match read_settings(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Connect::default()),
            read => read.map_err(|error| bad(error.to_string()))?,
        };
        let mut layer: Connect = toml_errors::parse(&text).map_err(bad)?;
        let folder = path.parent().unwrap_or(&path);
        let Connect { ca, client_cert, client_key, api_key_file, password_file, .. } = &mut layer;
        for file in [ca, client_cert, client_key, api_key_file, password_file].into_iter().flatten() {
            *file = folder.join(&*file);
        }
        Ok(layer)
    }

    /// Settings that belong together come from one layer: a key of the file is not sent with a password of the environment.
    fn over(self, lower: Connect) -> Connect {
        let has_certificate = self.client_cert.is_some() || self.client_key.is_some();
        let certificate = if has_certificate { self.clone() } else { lower.clone() };
        let credential = if self.sets_credential() { self.clone() } else { lower.clone() };
        let (client_cert, client_key) = (certificate.client_cert, certificate.client_key);
        Connect { url: self.url.or(lower.url), ca: self.ca.or(lower.ca), client_cert, client_key, ..credential }
    }

    fn sets_credential(&self) -> bool {
        let in_file = self.api_key_file.is_some() || self.password_file.is_some();
        in_file || self.api_key.is_some() || self.password.is_some()
    }

    fn into_builder(self) -> Result<ClientBuilder, Failure> {
        let trust = self.ca.map_or_else(|| Trust::ThisMachine(known_certificate()), Trust::Authority);
        let mut builder =
            Client::builder(self.url.as_deref().unwrap_or(DEFAULT_URL)).map_err(Failure::config)?.trust(trust);
        builder = match (self.client_cert, self.client_key) {
            (None, None) => builder,
            (Some(certificate), Some(key)) => builder.client_certificate(certificate, key),
            _ => {
                let both = "--client-cert and --client-key (or their variables) go together: give both";
                return Err(Failure::config(both));
            }
        };
        let key_file = self.api_key_file.clone().filter(|_| self.password.is_none());
        let api_key = given("api_key", self.api_key, self.api_key_file)?;
        let password = given("password", self.password, self.password_file)?;
        Ok(match (api_key, password, key_file) {
            (Some(key), _, Some(file)) => builder.api_key_from(current_key(file, key)),
            (Some(key), ..) => builder.api_key(key.expose()),
            (None, Some(password), _) => builder.password(password.expose()),
            (None, None, _) => builder,
        })
    }
}

/// The key that a file holds now; while it cannot be read, as in the middle of a replacement, the last one.
fn current_key(file: PathBuf, first: Secret) -> impl Fn() -> String + Send + Sync {
    let last = Mutex::new(first);
    move || {
        let mut last = last.lock();
        if let Ok(key) = secret_file::read(&file) {
            *last = key;
        }
        last.expose().to_owned()
    }
}

/// A path in an environment variable; an empty one counts as unset.
fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The certificate of a server that was started here without flags, or in this environment, as in its container. A file
/// that no variable names must belong to this user or root: other users may write to the folder.
fn known_certificate() -> Option<PathBuf> {
    let named = || set("LATCHD_TLS_DEV_DIR").map(|folder| folder.join(DEV_CERT));
    let found = || Some(Path::new("certs").join(DEV_CERT)).filter(|path| is_ours(path));
    set("LATCHD_TLS_CERT").or_else(named).or_else(found)
}

fn is_ours(path: &Path) -> bool {
    let owner = std::fs::metadata(path).map(|file| file.uid());
    owner.is_ok_and(|owner| owner == 0 || owner == geteuid().as_raw())
}

fn file() -> Option<PathBuf> {
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(folder.join(FILE))
}

/// A secret that is given in plain text or in a file.
fn given(what: &str, plain: Option<Secret>, file: Option<PathBuf>) -> Result<Option<Secret>, Failure> {
    match (plain, file) {
        (Some(_), Some(_)) => {
            Err(Failure::config(format!("{what} and {what}_file (or their variables) are both set: set one of them")))
        }
        (plain, None) => Ok(plain),
        (None, Some(file)) => secret_file::read_once(&file)
            .map(Some)
            .map_err(|reason| Failure::config(format!("{what}_file: {} cannot be used ({reason})", file.display()))),
    }
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// The failure with the service's own message, if it sent one.
pub fn explain(error: ClientError) -> Failure {
    let own = match &error {
        ClientError::Refused { status, .. } => {
            let of_sessions_v1 = || error.field("message").filter(|_| status.as_u16() == 403);
            error.field("detail").or_else(of_sessions_v1).map(|text| format!("{text} ({})", status.as_u16()))
        }
        _ => None,
    };
    let code = if error.is_misconfigured() { exit::CONFIG } else { exit::FAILURE };
    Failure::new(code, own.unwrap_or_else(|| error.to_string()))
}

/// As [`explain`], with an exit code that also says whether any node of the service answered.
pub fn refused(error: ClientError) -> Failure {
    let code = match &error {
        error if error.is_misconfigured() => exit::CONFIG,
        error if error.is_unavailable() => exit::UNREACHABLE,
        _ => exit::REFUSED,
    };
    Failure { code, ..explain(error) }
}

/// Shows what the command waits for, if a person does.
fn notice(known: &str) {
    if std::io::stderr().is_terminal() {
        output_queue::note(format!("still waiting: {known}"));
    }
}

pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::from_error)?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Connect {
        toml::from_str(text).expect("TOML")
    }

    #[test]
    fn higher_layer_wins_with_its_own_credential() {
        let file = "url = 'https://file'\nca = '/file.pem'\napi_key = 'of the file'";
        let mixed = layer("url = 'https://flag'\npassword = 'of the flag'").over(layer(file));
        assert_eq!(mixed.url.as_deref(), Some("https://flag"));
        assert_eq!(mixed.ca, Some(PathBuf::from("/file.pem")));
        assert_eq!((mixed.api_key, mixed.password), (None, Some(Secret::new("of the flag"))));
        let lower = Connect::default().over(layer(file));
        assert_eq!(lower.api_key, Some(Secret::new("of the file")));
    }

    #[test]
    fn files_paths_are_relative_and_unknown_keys_are_named() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join(FILE);
        assert!(Connect::read(path.clone()).expect("no file is no error").url.is_none());
        std::fs::write(&path, "ca = 'ours.pem'\n").expect("written");
        assert_eq!(Connect::read(path.clone()).expect("read").ca, Some(folder.path().join("ours.pem")));
        std::fs::write(&path, "uri = 'https://x'\n").expect("written");
        let refused = Connect::read(path).expect_err("refused").message;
        assert!(refused.contains("latchd.toml cannot be used") && refused.contains("`uri`"), "{refused}");
    }

    #[test]
    fn credential_is_read_from_file_beside_the_settings() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join(FILE);
        std::fs::write(folder.path().join("key"), "secret\n").expect("written");
        std::fs::write(&path, "api_key_file = 'key'\n").expect("written");
        let read = Connect::read(path).expect("read");
        let key = given("api_key", read.api_key.clone(), read.api_key_file.clone()).expect("a key");
        assert_eq!(key, Some(Secret::new("secret")));
        let mixed = layer("password_file = '/other'").over(read);
        assert_eq!((mixed.api_key_file, mixed.password_file), (None, Some(PathBuf::from("/other"))));
        let refused = layer("api_key = 'a'\napi_key_file = '/b'").into_builder().expect_err("refused").message;
        assert!(refused.contains("api_key_file"), "{refused}");
        let refused = layer("api_key_file = '/nonexistent'").into_builder().expect_err("refused").message;
        assert!(refused.contains("/nonexistent cannot be used"), "{refused}");
    }

    #[test]
    fn key_that_is_replaced_in_its_file_is_the_next_that_is_sent() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("token");
        std::fs::write(&path, "second\n").expect("written");
        let current = current_key(path.clone(), Secret::new("first"));
        assert_eq!(current(), "second");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(current(), "second", "the last one");
        std::fs::write(&path, "third\n").expect("written");
        assert_eq!(current(), "third");
    }

    #[test]
    fn probe_reads_no_credential() {
        let probe = layer("api_key_file = '/nonexistent'").probe("https://127.0.0.1:1");
        assert!(probe.is_ok(), "the file is not read");
    }

    #[test]
    fn half_a_client_certificate_is_refused() {
        let refused = layer("client_cert = 'a.pem'").into_builder().expect_err("refused").message;
        assert!(refused.contains("--client-key"), "{refused}");
    }
}
