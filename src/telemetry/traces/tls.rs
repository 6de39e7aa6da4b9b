//! Whose certificates a collector may have, and which one it is shown: PEM files, read once, at the start.

use crate::base::named_file::{self, PEM_BYTES_MAX};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of `tracing`.
#[derive(Clone, Debug, Default)]
pub struct CollectorFiles {
    /// The authorities of the collector's certificate. `None`: those of the system.
    pub authorities: Option<PathBuf>,
    /// What is shown to the collector: a certificate with its chain, and its key.
    pub pair: Option<(PathBuf, PathBuf)>,
}

/// Their contents, which can be used. The key is a secret.
pub struct CollectorTls {
    authorities: Option<Vec<u8>>,
    pair: Option<(Vec<u8>, Vec<u8>)>,
    config: ClientConfig,
}

impl CollectorTls {
    pub fn read(files: &CollectorFiles) -> Result<CollectorTls, UnusableFile> {
        let (ca_path, pair_paths) = (files.authorities.as_deref(), files.pair.as_ref());
        let authorities = ca_path.map(|path| read(CA, path)).transpose()?;
        let pair =
            pair_paths.map(|(cert, key)| Ok::<_, UnusableFile>((read(CERT, cert)?, read(KEY, key)?))).transpose()?;
        let trusting = match ca_path.zip(authorities.as_deref()) {
            Some((path, pem)) => trusting(pem).map_err(|why| unusable(CA, path, &why))?,
            None => trusting_the_system().map_err(|why| UnusableFile { config_key: CA, why })?,
        };
        let config = match pair_paths.zip(pair.as_ref()) {
            Some(((cert, key), pem)) => showing(trusting, (cert, &pem.0), (key, &pem.1))?,
            None => trusting.with_no_client_auth(),
        };
        Ok(CollectorTls { authorities, pair, config })
    }

    pub fn for_http(&self) -> ClientConfig {
        self.config.clone()
    }

    pub fn for_grpc(&self) -> ClientTlsConfig {
        let config = match &self.authorities {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match &self.pair {
            Some((cert, key)) => config.identity(Identity::from_pem(cert, key)),
            None => config,
        }
    }
}

/// Whether a start could use them.
pub fn check(files: &CollectorFiles) -> Result<(), UnusableFile> {
    CollectorTls::read(files).map(drop)
}

// The configuration keys.
pub const CA: &str = "tracing.ca_file";
pub const CERT: &str = "tracing.client_cert_file";
pub const KEY: &str = "tracing.client_key_file";

/// Which file cannot be used, and why.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{config_key}: {why}")]
pub struct UnusableFile {
    pub config_key: &'static str,
    pub why: String,
}

fn read(config_key: &'static str, path: &Path) -> Result<Vec<u8>, UnusableFile> {
    named_file::read_once(path, PEM_BYTES_MAX).map_err(|error| unusable(config_key, path, &error.to_string()))
}

fn unusable(config_key: &'static str, path: &Path, why: &str) -> UnusableFile {
    UnusableFile { config_key, why: format!("{} cannot be used: {why}", path.display()) }
}

type Trusting = ConfigBuilder<ClientConfig, WantsClientCert>;

fn builder() -> Result<ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())
}

fn trusting_the_system() -> Result<Trusting, String> {
    builder()?.with_platform_verifier().map_err(|error| error.to_string())
}

fn trusting(pem: &[u8]) -> Result<Trusting, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem)? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    Ok(builder()?.with_root_certificates(roots))
}

fn showing(trusting: Trusting, cert: (&Path, &[u8]), key: (&Path, &[u8])) -> Result<ClientConfig, UnusableFile> {
    let chain = certificates(cert.1).map_err(|why| unusable(CERT, cert.0, &why))?;
    let secret = PrivateKeyDer::from_pem_slice(key.1)
        .map_err(|error| unusable(KEY, key.0, &format!("it has no PEM private key ({error})")))?;
    trusting
        .with_client_auth_cert(chain, secret)
        .map_err(|error| unusable(CERT, cert.0, &format!("it does not go with the key {} ({error})", key.0.display())))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it has no PEM certificate".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_cannot_be_used_is_named_with_its_key_and_the_reason() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let refused = |authorities, pair| {
            CollectorTls::read(&CollectorFiles { authorities, pair }).err().map(|bad| bad.to_string())
        };
        let made = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let (one, other) = (made(), made());
        let (cert, key) = (file("cert", &one.cert.pem()), file("key", &one.signing_key.serialize_pem()));
        assert_eq!(refused(Some(cert.clone()), Some((cert.clone(), key.clone()))), None);
        let says = |told: Option<String>, words: [&str; 2]| {
            assert!(
                told.as_ref().is_some_and(|told| words.iter().all(|word| told.contains(word))),
                "{told:?} {words:?}"
            );
        };
        says(refused(Some("/missing".into()), None), [CA, "No such file"]);
        says(refused(Some("/dev/zero".into()), None), [CA, "longer than"]);
        says(refused(Some(key.clone()), None), [CA, "no PEM certificate"]);
        says(refused(None, Some((cert.clone(), cert.clone()))), [KEY, "no PEM private key"]);
        let foreign = file("other", &other.signing_key.serialize_pem());
        says(refused(None, Some((cert, foreign))), [CERT, "does not go with the key"]);
    }
}
