//! How a subcommand reaches the service: flags, then `LATCHD_*` variables, then the user's file, then this machine.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rustix::process::geteuid;
use serde::Deserialize;

use super::{Failure, code, speech, told};
use crate::client::{Client, ClientBuilder, ClientError, Trust};
use crate::config::{Secret, secret_file, toml_words};

/// Where a service started without any flags is.
const DEFAULT_URL: &str = "https://127.0.0.1:8443";
/// How long one answer to an operator's question may take.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long nobody may be there at any URL before an operator is told so.
const ABSENCE: Duration = Duration::from_secs(2);
/// Who sits at a terminal and has no answer so soon is told what is waited for.
const NOTICE: Duration = Duration::from_secs(1);
/// For calls that take as long as they take.
const UNBOUNDED: Duration = Duration::from_secs(366 * 24 * 3600);
/// The user's file, below `$XDG_CONFIG_HOME` or `~/.config`.
const FILE: &str = "latchd.toml";
/// What a server without a certificate makes in its `tls.dev_dir`.
const DEV_CERT: &str = "dev-cert.pem";

/// The flags that every subcommand has which talks to a running service.
#[derive(Clone, Debug, Default, Args)]
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
    /// File that holds the API key (also LATCHD_API_KEY_FILE)
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["api_key", "password", "password_file"])]
    api_key_file: Option<PathBuf>,
    /// Password (also LATCHD_PASSWORD, which other users of this machine cannot see)
    #[arg(long, global = true, value_name = "PASSWORD", value_parser = secret)]
    password: Option<Secret>,
    /// File that holds the password (also LATCHD_PASSWORD_FILE)
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["api_key", "password"])]
    password_file: Option<PathBuf>,
}

/// One layer of settings: what a file holds, or the environment, or the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    url: Option<String>,
    ca: Option<PathBuf>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    api_key: Option<String>,
    api_key_file: Option<PathBuf>,
    password: Option<String>,
    password_file: Option<PathBuf>,
}

impl Connect {
    /// A client whose calls take at most `timeout`; `None` leaves them unbounded.
    pub fn client(&self, timeout: impl Into<Option<Duration>>) -> Result<Client, Failure> {
        let builder = self.builder()?.timeout(timeout.into().unwrap_or(UNBOUNDED));
        builder.absence(ABSENCE).notice(NOTICE, notice).build().map_err(Failure::config)
    }

    /// Whether a key or a password is shown, which may open less than all.
    pub fn has_credential(&self) -> Result<bool, Failure> {
        Ok(self.layers()?.has_credential())
    }

    /// A client that shows a certificate where one is set, and no credential.
    pub fn probe(&self, url: &str) -> Result<ClientBuilder, Failure> {
        let layers = self.layers()?;
        let (url, ca, api_key, password) = (Some(url.to_owned()), None, None, None);
        Layer { url, ca, api_key, password, ..layers }.builder()
    }

    /// The settings, for subcommands that add their own.
    pub fn builder(&self) -> Result<ClientBuilder, Failure> {
        self.layers()?.builder()
    }

    fn layers(&self) -> Result<Layer, Failure> {
        let file = match file() {
            Some(path) => Layer::read(path)?,
            None => Layer::default(),
        };
        Ok(self.flags().over(Layer::environment()).over(file))
    }

    fn flags(&self) -> Layer {
        // An empty one is as good as none: a script's variable that is set to nothing.
        let plain = |secret: &Option<Secret>| {
            secret.as_ref().map(|secret| secret.expose().to_owned()).filter(|text| !text.is_empty())
        };
        Layer {
            url: self.url.clone(),
            ca: self.ca.clone(),
            client_cert: self.client_cert.clone(),
            client_key: self.client_key.clone(),
            api_key: plain(&self.api_key),
            api_key_file: self.api_key_file.clone(),
            password: plain(&self.password),
            password_file: self.password_file.clone(),
        }
    }
}

impl Layer {
    /// An empty variable is an unset one.
    fn environment() -> Layer {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let path = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Layer {
            url: text("LATCHD_URL"),
            ca: path("LATCHD_CA"),
            client_cert: path("LATCHD_CLIENT_CERT"),
            client_key: path("LATCHD_CLIENT_KEY"),
            api_key: text("LATCHD_API_KEY"),
            api_key_file: path("LATCHD_API_KEY_FILE"),
            password: text("LATCHD_PASSWORD"),
            password_file: path("LATCHD_PASSWORD_FILE"),
        }
    }

    /// The user's file; paths in it are relative to where it lies.
    fn read(path: PathBuf) -> Result<Layer, Failure> {
        let bad = |reason: String| Failure::config(format!("{} cannot be used: {reason}", path.display()));
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Layer::default()),
            read => read.map_err(|error| bad(error.to_string()))?,
        };
        let mut layer: Layer = toml_words::parse(&text).map_err(bad)?;
        let folder = path.parent().unwrap_or(&path);
        let Layer { ca, client_cert, client_key, api_key_file, password_file, .. } = &mut layer;
        for file in [ca, client_cert, client_key, api_key_file, password_file].into_iter().flatten() {
            *file = folder.join(&*file);
        }
        Ok(layer)
    }

    /// Settings that belong together are never mixed from two layers: a key of the file is not shown beside a password
    /// of the environment.
    fn over(self, lower: Layer) -> Layer {
        let credential = if self.has_credential() { &self } else { &lower };
        let (api_key, password) = (credential.api_key.clone(), credential.password.clone());
        let (api_key_file, password_file) = (credential.api_key_file.clone(), credential.password_file.clone());
        let has_identity = self.client_cert.is_some() || self.client_key.is_some();
        let (client_cert, client_key) =
            if has_identity { (self.client_cert, self.client_key) } else { (lower.client_cert, lower.client_key) };
        let (url, ca) = (self.url.or(lower.url), self.ca.or(lower.ca));
        Layer { url, ca, client_cert, client_key, api_key, api_key_file, password, password_file }
    }

    fn has_credential(&self) -> bool {
        let in_file = self.api_key_file.is_some() || self.password_file.is_some();
        in_file || self.api_key.is_some() || self.password.is_some()
    }

    fn builder(self) -> Result<ClientBuilder, Failure> {
        let trust = self.ca.map_or_else(|| Trust::ThisMachine(known_certificate()), Trust::Authority);
        let mut builder =
            Client::builder(self.url.as_deref().unwrap_or(DEFAULT_URL)).map_err(Failure::config)?.trust(trust);
        builder = match (self.client_cert, self.client_key) {
            (None, None) => builder,
            (Some(certificate), Some(key)) => builder.identity(certificate, key),
            _ => {
                let both = "--client-cert and --client-key (or their variables) go together: give both";
                return Err(Failure::config(both));
            }
        };
        let api_key = given("api_key", self.api_key, self.api_key_file)?;
        let password = given("password", self.password, self.password_file)?;
        Ok(match (api_key, password) {
            (Some(key), _) => builder.api_key(&key),
            (None, Some(password)) => builder.password(&password),
            (None, None) => builder,
        })
    }
}

/// What a server shows that was started here without any flags, or in this environment, as in its container. Of a file
/// that nobody named it is asked whose it is: anybody may put one into a folder that is open to all.
fn known_certificate() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let named = || set("LATCHD_TLS_DEV_DIR").map(|folder| folder.join(DEV_CERT));
    let found = || Some(Path::new("certs").join(DEV_CERT)).filter(|path| is_ours(path));
    set("LATCHD_TLS_CERT").or_else(named).or_else(found)
}

fn is_ours(path: &Path) -> bool {
    let owner = std::fs::metadata(path).map(|file| file.uid());
    owner.is_ok_and(|owner| owner == 0 || owner == geteuid().as_raw())
}

fn file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(folder.join(FILE))
}

/// A secret that is given as it is or in a file.
fn given(what: &str, plain: Option<String>, file: Option<PathBuf>) -> Result<Option<String>, Failure> {
    match (plain, file) {
        (Some(_), Some(_)) => {
            Err(Failure::config(format!("{what} and {what}_file (or their variables) are both set: set one of them")))
        }
        (plain, None) => Ok(plain),
        (None, Some(file)) => match secret_file::read(&file) {
            Ok(secret) => Ok(Some(secret.expose().to_owned())),
            Err(reason) => Err(Failure::config(format!("{what}_file: {} cannot be used ({reason})", file.display()))),
        },
    }
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// What a service refused, in its own words where it says them.
pub fn explain(error: ClientError) -> Failure {
    #[derive(Deserialize)]
    struct Problem {
        detail: Option<String>,
        /// In the words of sessions v1.
        message: Option<String>,
    }
    let message = match &error {
        ClientError::Refused { status, body, .. } => match serde_json::from_str::<Problem>(body) {
            Ok(Problem { detail: Some(said), .. }) => format!("{said} ({})", status.as_u16()),
            Ok(Problem { message: Some(said), .. }) if status.as_u16() == 403 => format!("{said} (403)"),
            _ => error.to_string(),
        },
        other => other.to_string(),
    };
    Failure::new(if error.is_misconfigured() { code::CONFIG } else { code::FAILURE }, message)
}

/// Only where somebody waits for it.
fn notice(known: &str) {
    if std::io::stderr().is_terminal() {
        speech::note(format!("still waiting: {known}"));
    }
}

/// Runs a command that talks to the service to its end.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(told)?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        toml::from_str(text).expect("TOML")
    }

    #[test]
    fn higher_layer_wins_with_its_own_credential() {
        let file = "url = 'https://file'\nca = '/file.pem'\napi_key = 'of the file'";
        let mixed = layer("url = 'https://flag'\npassword = 'of the flag'").over(layer(file));
        assert_eq!(mixed.url.as_deref(), Some("https://flag"));
        assert_eq!(mixed.ca, Some(PathBuf::from("/file.pem")));
        assert_eq!((mixed.api_key.as_deref(), mixed.password.as_deref()), (None, Some("of the flag")));
        let lower = Layer::default().over(layer(file));
        assert_eq!(lower.api_key.as_deref(), Some("of the file"));
    }

    #[test]
    fn the_file_is_read_beside_its_certificates_and_an_unknown_key_is_named() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join(FILE);
        assert!(Layer::read(path.clone()).expect("no file is no error").url.is_none());
        std::fs::write(&path, "ca = 'ours.pem'\n").expect("written");
        assert_eq!(Layer::read(path.clone()).expect("read").ca, Some(folder.path().join("ours.pem")));
        std::fs::write(&path, "uri = 'https://x'\n").expect("written");
        let refused = Layer::read(path).expect_err("refused").message;
        assert!(refused.contains("latchd.toml cannot be used") && refused.contains("`uri`"), "{refused}");
    }

    #[test]
    fn a_credential_may_lie_in_a_file_beside_the_settings() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join(FILE);
        std::fs::write(folder.path().join("key"), "secret\n").expect("written");
        std::fs::write(&path, "api_key_file = 'key'\n").expect("written");
        let read = Layer::read(path).expect("read");
        let key = given("api_key", read.api_key.clone(), read.api_key_file.clone()).expect("a key");
        assert_eq!(key.as_deref(), Some("secret"));
        let mixed = layer("password_file = '/other'").over(read);
        assert_eq!((mixed.api_key_file, mixed.password_file), (None, Some(PathBuf::from("/other"))));
        let refused = layer("api_key = 'a'\napi_key_file = '/b'").builder().expect_err("refused").message;
        assert!(refused.contains("api_key_file"), "{refused}");
        let refused = layer("api_key_file = '/nonexistent'").builder().expect_err("refused").message;
        assert!(refused.contains("/nonexistent cannot be used"), "{refused}");
    }

    #[test]
    fn half_a_client_certificate_is_refused() {
        let refused = layer("client_cert = 'a.pem'").builder().expect_err("refused").message;
        assert!(refused.contains("--client-key"), "{refused}");
    }
}
