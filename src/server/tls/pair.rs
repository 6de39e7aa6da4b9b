//! The files behind https, and a rustls configuration made from them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};

use crate::base::named_file::{self, PEM_BYTES_MAX};
use crate::config::tls::ClientAuth;

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

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub client_ca: Option<PathBuf>,
    pub client_auth: ClientAuth,
}

/// What judges the certificates of clients.
pub type Verifier = Arc<dyn ClientCertVerifier>;

/// What the files held at one moment.
#[derive(PartialEq, Eq)]
pub struct PemContents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    pub fn read(&self) -> Result<PemContents, TlsError> {
        let client_ca = self.client_ca.as_deref().map(read).transpose()?;
        Ok(PemContents { cert: read(&self.cert)?, key: read(&self.key)?, client_ca })
    }

    /// Checks that the contents belong together and makes a configuration from them.
    pub fn build(&self, contents: &PemContents) -> Result<(ServerConfig, Option<Verifier>), TlsError> {
        let chain = certificates(&self.cert, &contents.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| unusable(&self.key, format!("holds no PEM private key ({error})")))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&self.cert, error.to_string()))?;
        let authorities = self.client_ca.as_deref().zip(contents.client_ca.as_deref());
        let verifier = authorities.map(|(path, pem)| self.verifier(path, pem, provider)).transpose()?;
        let builder = match verifier.clone() {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                unusable(&self.cert, format!("does not go with the key {} ({error})", self.key.display()))
            }
            _ => unusable(&self.cert, format!("cannot be used ({error})")),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        Ok((config, verifier))
    }

    /// Why the authorities refuse the certificate beside them, apart from the time in which it is valid.
    pub fn refusal_of_own(&self, contents: &PemContents) -> Result<Option<String>, TlsError> {
        let chain = certificates(&self.cert, &contents.cert)?;
        let (_, verifier) = self.build(contents)?;
        let Some((verifier, (first, rest))) = verifier.zip(chain.split_first()) else { return Ok(None) };
        let refused = verifier.verify_client_cert(first, rest, UnixTime::now()).err();
        Ok(refused.filter(|error| !is_of_time(error)).map(|error| error.to_string()))
    }

    fn verifier(&self, path: &Path, pem: &[u8], provider: Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
        let builder = WebPkiClientVerifier::builder_with_provider(roots(path, pem)?.into(), provider);
        let builder = match self.client_auth {
            ClientAuth::Required => builder,
            ClientAuth::Optional => builder.allow_unauthenticated(),
        };
        builder.build().map_err(|error| unusable(path, error.to_string()))
    }
}

impl PemContents {
    /// The PEM text of each file with certificates, by its configuration key.
    pub fn certificates(&self, cert_key: &'static str) -> Vec<(&'static str, Vec<u8>)> {
        let client_ca = self.client_ca.clone().map(|pem| ("tls.client_ca", pem));
        [Some((cert_key, self.cert.clone())), client_ca].into_iter().flatten().collect()
    }

    /// SHA-256 of the first certificate, as browsers and openssl print it.
    pub fn fingerprint(&self) -> String {
        let first = CertificateDer::from_pem_slice(&self.cert).map(|der| der.to_vec()).unwrap_or_default();
        let pairs: Vec<String> = Sha256::digest(first).iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }
}

fn is_of_time(error: &rustls::Error) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let rustls::Error::InvalidCertificate(why) = error else { return false };
    matches!(why, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

pub fn log_fingerprint(what: &str, cert: &Path, fingerprint: &str) {
    tracing::info!(cert = %cert.display(), fingerprint, "{what} the certificate with this SHA-256 fingerprint");
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    named_file::read(path, PEM_BYTES_MAX).map_err(|reason| TlsError::Unreadable { path: path.to_owned(), reason })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(unusable(path, "holds no PEM certificate".to_owned())),
        Err(error) => Err(unusable(path, format!("is not PEM ({error})"))),
    }
}

fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        store.add(certificate).map_err(|error| unusable(path, format!("holds no usable authority ({error})")))?;
    }
    Ok(store)
}

fn unusable(path: &Path, reason: String) -> TlsError {
    TlsError::Unusable { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::named_file::make_pipe;

    #[test]
    fn file_that_is_a_pipe_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a directory");
        let [pem, pipe] = ["pem", "pipe"].map(|name| folder.path().join(name));
        std::fs::write(&pem, "").expect("written");
        make_pipe(&pipe);
        for at in 0..3 {
            let path = |file| if file == at { pipe.clone() } else { pem.clone() };
            let files =
                Files { cert: path(0), key: path(1), client_ca: Some(path(2)), client_auth: ClientAuth::Required };
            let refused = files.read().err().expect("refused").to_string();
            assert!(refused.contains("pipe cannot be read (it is not a regular file)"), "{refused}");
        }
    }
}
