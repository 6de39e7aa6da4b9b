//! Which server certificates a client accepts, and which certificate it sends.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::error::ClientError;
use crate::base::named_file::{self, PEM_BYTES_MAX};

/// Which server certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those signed by the system's authorities.
    System,
    /// Those in this PEM file, and those signed by the authorities in it.
    Authority(PathBuf),
    /// As `System`; on this machine also the certificate in this file, or any if no credential is sent.
    ThisMachine(Option<PathBuf>),
    /// Any if no credential is sent, for probes; else as `System`.
    Any,
    /// Any if no credential is sent; else the certificates in this file, whatever their names and dates: whoever has their
    /// key is the server that the file belongs to.
    Pinned(Option<PathBuf>),
}

impl Trust {
    pub(super) fn config(
        &self,
        on_this_machine: bool,
        sends_credential: bool,
        client_certificate: Option<&(PathBuf, PathBuf)>,
    ) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut verifier = Verifier {
            file: None,
            system: Some(OnceLock::new()),
            pinned: false,
            accept_any: false,
            provider: Arc::clone(&provider),
        };
        match self {
            Trust::Authority(path) => {
                verifier.file = Some(CertificateFile::read(path, &provider)?);
                verifier.system = None;
            }
            Trust::ThisMachine(known) if on_this_machine => {
                // A service with another certificate has no such file.
                verifier.file = known.as_ref().and_then(|path| CertificateFile::read(path, &provider).ok());
                verifier.accept_any = !sends_credential;
            }
            Trust::Any => verifier.accept_any = !sends_credential,
            Trust::Pinned(path) => {
                verifier.file = path.as_ref().and_then(|path| CertificateFile::read(path, &provider).ok());
                (verifier.pinned, verifier.accept_any) = (true, !sends_credential);
            }
            Trust::ThisMachine(_) | Trust::System => {}
        }
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("the provider speaks the default versions").dangerous();
        let config = config.with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match client_certificate {
            Some((certificate, key)) => with_client_certificate(config, certificate, key)?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn with_client_certificate(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    certificate: &Path,
    key: &Path,
) -> Result<ClientConfig, ClientError> {
    let bad = |path, reason: &dyn Display| bad(path, "client certificate", reason);
    let chain = certificates(certificate).map_err(|error| bad(certificate, &error))?;
    let pem = named_file::read_once(key, PEM_BYTES_MAX).map_err(|error| bad(key, &error))?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| bad(key, &error))?;
    config.with_client_auth_cert(chain, private).map_err(|error| bad(certificate, &error))
}

fn bad(path: &Path, purpose: &'static str, reason: &dyn Display) -> ClientError {
    ClientError::BadCertificate { path: path.display().to_string(), purpose, reason: reason.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let pem = named_file::read_once(path, PEM_BYTES_MAX).map_err(pem::Error::Io)?;
    CertificateDer::pem_slice_iter(&pem).collect()
}

/// A PEM file of authorities, or of certificates that are accepted themselves.
#[derive(Debug)]
struct CertificateFile {
    certificates: Vec<CertificateDer<'static>>,
    chains: Arc<WebPkiServerVerifier>,
}

impl CertificateFile {
    fn read(path: &Path, provider: &Arc<CryptoProvider>) -> Result<CertificateFile, ClientError> {
        let bad = |reason: &dyn Display| bad(path, "certificate authority", reason);
        let certificates = certificates(path).map_err(|error| bad(&error))?;
        if certificates.is_empty() {
            return Err(bad(&"it holds no PEM certificate"));
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| bad(&error))?;
        }
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        Ok(CertificateFile { certificates, chains: chains.map_err(|error| bad(&error))? })
    }
}

#[derive(Debug)]
struct Verifier {
    file: Option<CertificateFile>,
    /// The system's authorities, if they are trusted; read at the first use. A machine may have none.
    system: Option<OnceLock<Option<rustls_platform_verifier::Verifier>>>,
    /// Only what is in the file, without its names.
    pinned: bool,
    accept_any: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut verdict = Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        let is_pinned = |file: &CertificateFile| self.pinned && file.certificates.first() == Some(certificate);
        if self.file.as_ref().is_some_and(is_pinned) {
            return Ok(ServerCertVerified::assertion());
        }
        if let Some(file) = &self.file {
            verdict = match file.chains.verify_server_cert(certificate, intermediates, name, ocsp, now) {
                // The dates were checked before the signature and the usage; the name was not.
                Err(Error::InvalidCertificate(
                    CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_),
                )) if file.certificates.contains(certificate) => ParsedCertificate::try_from(certificate)
                    .and_then(|parsed| rustls::client::verify_server_name(&parsed, name))
                    .map(|()| ServerCertVerified::assertion()),
                other => other,
            };
        }
        let read = || rustls_platform_verifier::Verifier::new(Arc::clone(&self.provider)).ok();
        let system = self.system.as_ref().filter(|_| verdict.is_err() && !self.accept_any);
        if let Some(system) = system.and_then(|system| system.get_or_init(read).as_ref()) {
            verdict = system.verify_server_cert(certificate, intermediates, name, ocsp, now);
        }
        if self.accept_any { Ok(ServerCertVerified::assertion()) } else { verdict }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_without_an_end_is_refused() {
        let endless = || PathBuf::from("/dev/zero");
        let refused = |trust: Trust, pair: Option<(PathBuf, PathBuf)>| {
            let refused = trust.config(false, false, pair.as_ref()).expect_err("refused");
            assert!(refused.to_string().contains("/dev/zero cannot be used as a"), "{refused}");
            assert!(refused.to_string().contains("it is longer than 4194304 bytes"), "{refused}");
        };
        refused(Trust::Authority(endless()), None);
        refused(Trust::System, Some((endless(), endless())));
    }
}
