//! A renewed certificate is picked up without a restart. Connections keep the configuration they began with.

use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use tokio::sync::watch;

use super::pair::{Files, PemContents, log_fingerprint};
use super::served::Served;

/// What is watched, and what is served of it.
pub struct Watch {
    pub live: RustlsConfig,
    pub files: Files,
    pub served: Served,
}

impl Watch {
    /// Looks at the files every `interval` and whenever it is asked to. A new pair that is no good is reported once (and
    /// again when it is asked for), and the old one stays.
    ///
    /// Contents are compared, not times: a renewal by rename, by copy or through a mounted secret all look the same, and
    /// a pair whose second file is still being written is tried again when that is done.
    /// They are compared with what is served, so a renewal between loading and the first look is not missed.
    pub async fn follow(self, interval: Duration, mut requests: watch::Receiver<()>) {
        let (mut asked, mut unreadable) = (false, false);
        let mut seen = self.served.now();
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
                () = tokio::time::sleep(interval) => false,
                Ok(()) = requests.changed() => true,
            };
        }
    }

    fn renew(&self, contents: &Arc<PemContents>) {
        match self.files.build(contents) {
            Ok(config) => {
                self.live.reload_from_config(Arc::new(config));
                self.served.set(Arc::clone(contents));
                log_fingerprint("renewed", &self.files.cert, &contents.fingerprint());
            }
            Err(error) => tracing::warn!(%error, "{error}; the certificate in use stays"),
        }
    }
}
