//! TLS of the https listeners: which pair is served, who must show one, and its renewal.

pub mod dev_pair;
mod pair;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;

use crate::config::{ListenUrl, TlsConfig};
use pair::{Contents, Files};

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
    /// What the live configuration was first made from.
    contents: Arc<Contents>,
}

impl Tls {
    /// Loads the configured pair, or the development pair (made when there is none).
    pub fn open(config: &TlsConfig, listen: &[ListenUrl]) -> Result<Self, TlsError> {
        let (cert, key) = match config.pair() {
            Some((cert, key)) => (cert.to_owned(), key.to_owned()),
            None => dev_pair::ensure(&config.dev_dir, listen)?,
        };
        let files = Files { cert, key, client_ca: config.client_ca().map(ToOwned::to_owned) };
        let contents = files.read()?;
        let server = files.build(&contents)?;
        pair::log_fingerprint("serving", &files.cert, &contents.fingerprint());
        Ok(Self { live: RustlsConfig::from_config(Arc::new(server)), files, contents: Arc::new(contents) })
    }

    /// Follows the files for as long as the process lives.
    pub fn watch(&self, config: &TlsConfig) {
        let served = Arc::clone(&self.contents);
        tokio::spawn(watch::follow(self.live.clone(), self.files.clone(), served, config.reload_interval));
    }
}
