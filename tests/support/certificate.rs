//! One self-signed pair for the whole test process: made once, trusted by the tests' own clients.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{CertificateDer, pem::PemObject};

/// Where the pair lies, for servers and for clients (curl, Python) that read files.
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The pair, valid for `localhost` and `127.0.0.1`.
pub fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        // A client process of a test trusts the pair of the test that started it.
        if let Some(directory) = std::env::var_os("TEST_CERTIFICATE").map(PathBuf::from) {
            return Pair { certificate: directory.join("cert.pem"), key: directory.join("key.pem") };
        }
        forget_the_dead();
        let directory = scratch_directory().join(format!("certificate-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("the certificate directory can be made");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()])
            .expect("a certificate can be made");
        let pair = Pair { certificate: directory.join("cert.pem"), key: directory.join("key.pem") };
        std::fs::write(&pair.certificate, made.cert.pem()).expect("the certificate can be written");
        std::fs::write(&pair.key, made.signing_key.serialize_pem()).expect("the key can be written");
        pair
    })
}

/// Removes what earlier test processes left behind.
fn forget_the_dead() {
    for entry in std::fs::read_dir(scratch_directory()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("certificate-");
        if process.is_some_and(|process| !std::path::Path::new("/proc").join(process).exists()) {
            // Another test process may do the same at the same time.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A TLS client configuration that trusts the pair and nothing else; HTTP/1.1 only.
pub fn client_config() -> Arc<rustls::ClientConfig> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let mut roots = rustls::RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(&pair().certificate).expect("the certificate is PEM");
        roots.add(certificate).expect("the certificate can be trusted");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    });
    Arc::clone(config)
}

/// Cargo's scratch directory for tests and benches, under `target/`.
pub fn scratch_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}
