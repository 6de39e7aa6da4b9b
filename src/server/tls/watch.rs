//! A renewed certificate is picked up without a restart. Connections keep the configuration they began with.

use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;

use super::Served;
use super::pair::{Contents, Files, log_fingerprint};

/// Looks at the files every `interval`. A new pair that is no good is reported once, and the old one stays.
///
/// Contents are compared, not times: a renewal by rename, by copy or through a mounted secret all look the same, and a
/// pair whose second file is still being written is tried again when that is done.
/// They are compared with what is served, so a renewal between loading and the first look is not missed.
pub async fn follow(live: RustlsConfig, files: Files, served: Served, interval: Duration) {
    let mut seen = served.now();
    let mut unreadable = false;
    loop {
        let reading = files.clone();
        // It fails only when the process ends.
        let Ok(read) = tokio::task::spawn_blocking(move || reading.read()).await else { return };
        match read {
            Ok(contents) => {
                unreadable = false;
                if *seen != contents {
                    seen = Arc::new(contents);
                    if renew(&live, &files, &seen) {
                        served.set(Arc::clone(&seen));
                    }
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut unreadable, true) {
                    tracing::warn!(%error, "{error}; the certificate in use stays");
                }
            }
        }
        tokio::time::sleep(interval).await;
    }
}

/// Whether they are served now.
fn renew(live: &RustlsConfig, files: &Files, contents: &Contents) -> bool {
    match files.build(contents) {
        Ok(config) => {
            live.reload_from_config(Arc::new(config));
            log_fingerprint("renewed", &files.cert, &contents.fingerprint());
        }
        Err(error) => {
            tracing::warn!(%error, "{error}; the certificate in use stays");
            return false;
        }
    }
    true
}
