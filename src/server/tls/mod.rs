//! TLS of the https listeners: which pair is served, who must show one, and its renewal.

pub mod dev_pair;
mod error;
pub mod key_files;
mod pair;
mod served;
mod watch;
pub mod x509;

use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;

use super::reload::Reload;
use crate::config::{ListenUrl, TlsConfig};
use pair::Files;
use watch::Watch;

pub use error::TlsError;
pub use served::Served;

/// The live TLS configuration, renewed whenever its files change.
pub struct Tls {
    pub live: RustlsConfig,
    files: Files,
    served: Served,
    interval: Duration,
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
        let served = Served::new(contents, is_made_here);
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
