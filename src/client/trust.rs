//! Which certificates of a server a client accepts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::error::ClientError;

/// Which certificates an https server may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the system's authorities.
    System,
    /// Those of the authorities in this PEM file, and the very certificates in it.
    Authority(PathBuf),
    /// From a server on this machine the certificate in this file, if there is one, and any at all while no credential
    /// is shown. Elsewhere, and besides, as `System`.
    ThisMachine(Option<PathBuf>),
    /// Any while no credential is shown, as by a probe, which believes nothing but that somebody answers. Else as `System`.
    Any,
}

impl Trust {
    /// A configuration of TLS that trusts so. `bare`: no credential is shown.
    pub(super) fn config(
        &self,
        on_this_machine: bool,
        bare: bool,
        identity: Option<&(PathBuf, PathBuf)>,
    ) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut verifier =
            Verifier { given: None, system: Some(OnceLock::new()), any: false, provider: Arc::clone(&provider) };
        match self {
            Trust::Authority(path) => {
                verifier.given = Some(Given::read(path, &provider)?);
                verifier.system = None;
            }
            Trust::ThisMachine(known) if on_this_machine => {
                // Most services have another certificate, and then there is no such file.
                verifier.given = known.as_ref().and_then(|path| Given::read(path, &provider).ok());
                verifier.any = bare;
            }
            Trust::Any => verifier.any = bare,
            Trust::ThisMachine(_) | Trust::System => {}
        }
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("the provider speaks the default versions").dangerous();
        let config = config.with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match identity {
            Some((certificate, key)) => with_identity(config, certificate, key)?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

type Unidentified = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn with_identity(config: Unidentified, certificate: &Path, key: &Path) -> Result<ClientConfig, ClientError> {
    let bad = |path: &Path, reason: String| ClientError::BadIdentity { path: path.display().to_string(), reason };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| bad(certificate, error.to_string()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.to_string()))?;
    config.with_client_auth_cert(chain, private).map_err(|error| bad(certificate, error.to_string()))
}

/// What a file holds: authorities, or certificates that are trusted themselves.
#[derive(Debug)]
struct Given {
    certificates: Vec<CertificateDer<'static>>,
    chains: Arc<WebPkiServerVerifier>,
}

impl Given {
    fn read(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Given, ClientError> {
        let bad = |reason: String| ClientError::BadAuthority { path: path.display().to_string(), reason };
        let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let certificates = read.map_err(|error| bad(error.to_string()))?;
        if certificates.is_empty() {
            return Err(bad("it holds no PEM certificate".to_owned()));
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| bad(error.to_string()))?;
        }
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        Ok(Given { certificates, chains: chains.map_err(|error| bad(error.to_string()))? })
    }

    fn verify(&self, shown: &Shown<'_>) -> Result<ServerCertVerified, Error> {
        let Shown { certificate, intermediates, name, ocsp, now } = *shown;
        let verified = self.chains.verify_server_cert(certificate, intermediates, name, ocsp, now);
        match verified {
            // Its dates are judged before who has signed it and for what; its name is not.
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_),
            )) if self.certificates.contains(certificate) => {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }
}

/// What a server shows, and when.
struct Shown<'a> {
    certificate: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
    ocsp: &'a [u8],
    now: UnixTime,
}

#[derive(Debug)]
struct Verifier {
    given: Option<Given>,
    /// Those of the system, where they count; read when the first server shows one. A machine may have none.
    system: Option<OnceLock<Option<rustls_platform_verifier::Verifier>>>,
    /// Any certificate is as good: nothing is shown to the server that is worth a theft.
    any: bool,
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
        let shown = Shown { certificate, intermediates, name, ocsp, now };
        let mut verdict = Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        if let Some(given) = &self.given {
            verdict = given.verify(&shown);
        }
        let read = || rustls_platform_verifier::Verifier::new(Arc::clone(&self.provider)).ok();
        let system = self.system.as_ref().filter(|_| verdict.is_err() && !self.any);
        if let Some(system) = system.and_then(|system| system.get_or_init(read).as_ref()) {
            verdict = system.verify_server_cert(certificate, intermediates, name, ocsp, now);
        }
        if self.any { Ok(ServerCertVerified::assertion()) } else { verdict }
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
