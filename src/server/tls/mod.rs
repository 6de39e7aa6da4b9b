//! TLS of the https listeners: which pair is served, who must show one, and its renewal.

pub mod dev_pair;
pub mod key_files;
mod pair;
mod watch;
pub mod x509;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;

use super::reload::Reload;
use crate::config::{ListenUrl, TlsConfig};
use pair::{Contents, Files};
use watch::Watch;

/// Why https cannot be served. The text says which file, what is wrong with it and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("tls: {path} cannot be read ({reason}); check tls.cert, tls.key and tls.client_ca")]
    Unreadable { path: PathBuf, reason: std::io::Error },
    #[error("tls: {path}: {reason}")]
    Unusable { path: PathBuf, reason: String },
    #[error(
        "tls: {path} cannot be written ({reason}); set tls.dev_dir to a writable directory, or tls.cert and tls.key"
    )]
    Unwritable { path: PathBuf, reason: std::io::Error },
}

/// The live TLS configuration, renewed whenever its files change.
pub struct Tls {
    pub live: RustlsConfig,
    files: Files,
    served: Served,
    interval: Duration,
}

/// What the live configuration was made from.
#[derive(Clone)]
pub struct Served {
    contents: Arc<Mutex<Arc<Contents>>>,
    is_made_here: bool,
}

impl Served {
    fn now(&self) -> Arc<Contents> {
        Arc::clone(&self.contents.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, contents: Arc<Contents>) {
        *self.contents.lock().unwrap_or_else(PoisonError::into_inner) = contents;
    }

    /// The PEM text of each file with certificates, by its configuration key.
    pub fn certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.now().certificates(if self.is_made_here { "tls.dev_dir" } else { "tls.cert" })
    }
}

impl Tls {
    /// Loads the configured pair, or the development pair (made when there is none).
    pub fn open(config: &TlsConfig, listen: &[ListenUrl]) -> Result<Self, TlsError> {
        let (cert, key) = match config.pair() {
            Some((cert, key)) => (cert.to_owned(), key.to_owned()),
            None => dev_pair::ensure(&config.dev_dir, listen)?,
        };
        let is_made_here = config.pair().is_none();
        let files = Files { cert, key, client_ca: config.client_ca().map(ToOwned::to_owned) };
        let contents = files.read()?;
        let server = files.build(&contents)?;
        pair::log_fingerprint("serving", &files.cert, &contents.fingerprint());
        let served = Served { contents: Arc::new(Mutex::new(Arc::new(contents))), is_made_here };
        let interval = config.reload_interval;
        Ok(Self { live: RustlsConfig::from_config(Arc::new(server)), files, served, interval })
    }

    /// What is served, now and from now on.
    pub fn served(&self) -> Served {
        self.served.clone()
    }

    /// Follows the files for as long as the process lives.
    pub fn watch(&self, reload: &Reload) {
        let watch = Watch { live: self.live.clone(), files: self.files.clone(), served: self.served.clone() };
        tokio::spawn(watch.follow(self.interval, reload.requests()));
    }
}
