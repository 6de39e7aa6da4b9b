//! TLS of the https listeners: which pair is served, who must show one, and its renewal.

mod authorities;
pub mod dev_pair;
pub mod key_files;
mod pair;
pub mod x509;

use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::{ListenUrl, TlsConfig};
use pair::{PemContents, log_fingerprint};

pub use authorities::Authorities;
pub use pair::{Files, TlsError};

/// The live TLS configuration, renewed whenever its files change. Clones share it.
#[derive(Clone)]
pub struct Tls {
    pub live: RustlsConfig,
    files: Files,
    authorities: Arc<Authorities>,
    served: Served,
    interval: Duration,
}

/// The certificates that the https listeners serve now.
#[derive(Clone)]
pub struct Served {
    /// What the live configuration was made from.
    contents: Arc<Mutex<Arc<PemContents>>>,
    is_made_here: bool,
}

impl Served {
    /// The PEM text of each file with certificates, by its configuration key.
    pub fn certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.contents.lock().certificates(if self.is_made_here { "tls.dev_dir" } else { "tls.cert" })
    }
}

/// The same for any certificate, its key and the authorities that it is used with.
pub fn check_files(setting: &'static str, files: Files) -> Result<Vec<(&'static str, Vec<u8>)>, TlsError> {
    let contents = files.read()?;
    files.build(&contents)?;
    Ok(contents.certificates(setting))
}

/// Why the authorities of these files refuse the certificate beside them, whatever the time; `None` if they accept it.
pub fn refusal_of_own(files: &Files) -> Result<Option<String>, TlsError> {
    files.refusal_of_own(&files.read()?)
}

impl Tls {
    /// Loads the configured pair, or the development pair (made when there is none).
    pub fn open(config: &TlsConfig, listen: &[ListenUrl]) -> Result<Self, TlsError> {
        let is_made_here = config.pair().is_none();
        let (cert, key) = match config.pair() {
            Some((cert, key)) => (cert.to_owned(), key.to_owned()),
            None => dev_pair::ensure(&config.dev_dir, listen)?,
        };
        let (client_ca, client_auth) = (config.client_ca().map(ToOwned::to_owned), config.client_auth);
        let files = Files { cert, key, client_ca, client_auth };
        let contents = files.read()?;
        let (built, verifier) = files.build(&contents)?;
        let (live, authorities) = (RustlsConfig::from_config(Arc::new(built)), Arc::new(Authorities::default()));
        authorities.set(verifier);
        log_fingerprint("serving", &files.cert, &contents.fingerprint());
        let served = Served { contents: Arc::new(Mutex::new(Arc::new(contents))), is_made_here };
        Ok(Self { live, files, authorities, served, interval: config.reload_interval })
    }

    /// What judges the certificates of clients.
    pub fn authorities(&self) -> Arc<Authorities> {
        Arc::clone(&self.authorities)
    }

    /// Checks that the configured files, or those of a development pair, go together; the PEM text of each file with
    /// certificates, by its configuration key. Makes nothing.
    pub fn check(config: &TlsConfig) -> Result<Vec<(&'static str, Vec<u8>)>, TlsError> {
        let own = config.pair().map(|(cert, key)| (cert.to_owned(), key.to_owned()));
        let setting = if own.is_some() { "tls.cert" } else { "tls.dev_dir" };
        let (cert, key) = own.unwrap_or_else(|| dev_pair::files(&config.dev_dir));
        let (client_ca, client_auth) = (config.client_ca().map(ToOwned::to_owned), config.client_auth);
        check_files(setting, Files { cert, key, client_ca, client_auth })
    }

    pub fn served(&self) -> Served {
        self.served.clone()
    }

    /// Looks at the files every interval and whenever it is asked to, for as long as the process lives. Connections keep
    /// the configuration that they began with. A new pair that is no good is reported once (and again when it is asked
    /// for), and the old one stays.
    ///
    /// Contents are compared, not times: a renewal by rename, by copy or through a mounted secret all look the same, and
    /// a pair whose second file is still being written is tried again when that is done.
    /// They are compared with what is served, so a renewal between loading and the first look is not missed.
    pub async fn watch(self, mut requests: watch::Receiver<()>) {
        let (mut asked, mut unreadable) = (false, false);
        let mut seen = Arc::clone(&self.served.contents.lock());
        loop {
            let reading = self.files.clone();
            // It fails only when the process ends.
            let Ok(read) = tokio::task::spawn_blocking(move || reading.read()).await else { return };
            match read {
                Ok(contents) => {
                    unreadable = false;
                    if *seen != contents || asked {
                        seen = Arc::new(contents);
                        self.renew(&seen);
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut unreadable, true) || asked {
                        tracing::warn!(%error, "{error}; the certificate in use stays");
                    }
                }
            }
            asked = tokio::select! {
                () = tokio::time::sleep(self.interval) => false,
                Ok(()) = requests.changed() => true,
            };
        }
    }

    fn renew(&self, contents: &Arc<PemContents>) {
        match self.files.build(contents) {
            Ok((config, verifier)) => {
                self.live.reload_from_config(Arc::new(config));
                // Connections that are open are judged by it too.
                self.authorities.set(verifier);
                *self.served.contents.lock() = Arc::clone(contents);
                log_fingerprint("renewed", &self.files.cert, &contents.fingerprint());
            }
            Err(error) => tracing::warn!(%error, "{error}; the certificate in use stays"),
        }
    }
}
