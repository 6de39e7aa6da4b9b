//! `[tls]`: the certificate of the https listeners.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use crate::base::config_value::positive_duration;

/// Certificate files and how they are watched.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    cert: PathBuf,
    key: PathBuf,
    client_ca: PathBuf,
    /// Whether a client without a certificate is let in.
    pub client_auth: ClientAuth,
    /// Where the development pair lives.
    pub dev_dir: PathBuf,
    /// Pause between two looks at the certificate files.
    #[serde(deserialize_with = "positive_duration")]
    pub reload_interval: Duration,
    /// Bound on a client's handshake.
    #[serde(deserialize_with = "positive_duration")]
    pub handshake_timeout: Duration,
}

/// Who has to show a certificate, where authorities are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    Required,
    Optional,
}

impl TlsConfig {
    /// The configured certificate and key, or none for the development pair.
    pub fn pair(&self) -> Option<(&Path, &Path)> {
        named(&self.cert).zip(named(&self.key))
    }

    /// The authorities of client certificates, when they are demanded.
    pub fn client_ca(&self) -> Option<&Path> {
        named(&self.client_ca)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if named(&self.cert).is_some() == named(&self.key).is_some() {
            return Ok(());
        }
        Err(ConfigError::Conflict(
            "tls.cert and tls.key go together: set both (--tls-cert and --tls-key) or neither".to_owned(),
        ))
    }
}

fn named(path: &Path) -> Option<&Path> {
    (!path.as_os_str().is_empty()).then_some(path)
}
