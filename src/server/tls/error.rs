//! Why a certificate or key cannot be used.

use std::path::PathBuf;

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
