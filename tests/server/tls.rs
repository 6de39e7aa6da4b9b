//! Certificates: protocols, renewal without a restart, clients that must show one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::raw::Raw;
use super::rig::{PATIENCE, Rig};
use crate::support::certificate;

#[tokio::test]
async fn http_1_0_is_spoken_over_tls_to_a_client_that_offers_nothing_else() {
    let rig = Rig::start(router(), &[]);
    let mut config = ClientConfig::clone(&certificate::client_config());
    config.alpn_protocols = vec![b"http/1.0".to_vec()];
    let mut connection = Raw::tls(rig.https(), Arc::new(config)).await.expect("a handshake");
    connection.send("GET / HTTP/1.0\r\n\r\n").await;
    let answer = connection.answer().await;
    assert_eq!((answer.status, &*answer.body), (200, "fine"));
}

fn router() -> Router {
    Router::new().route("/", get(|| async { "fine" }))
}

/// A pair of files that can be renewed.
struct Pair {
    directory: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let pair = Self { directory: tempfile::tempdir().expect("a directory") };
        pair.renew();
        pair
    }

    fn cert(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    fn renew(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        std::fs::write(self.cert(), made.cert.pem()).expect("written");
        std::fs::write(self.key(), made.signing_key.serialize_pem()).expect("written");
    }

    fn trusted(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.cert()).expect("PEM")).expect("usable");
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring's versions");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

#[tokio::test]
async fn plain_http_to_tls_port_gets_an_explanation() {
    let rig = Rig::start(router(), &[]);
    let answer = Raw::plain(rig.https()).await.get("/").await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.starts_with("Client sent an HTTP request to an HTTPS server."), "{}", answer.body);
    assert_eq!(rig.tls().await.get("/").await.body, "fine");
}

const WATCHED: &[(&str, &str)] = &[("tls.reload_interval", "20ms")];

#[tokio::test]
async fn both_versions_of_http_are_offered() {
    let rig = Rig::start(router(), &[]);
    for offered in ["h2", "http/1.1"] {
        let mut config = (*certificate::client_config()).clone();
        config.alpn_protocols = vec![offered.as_bytes().to_vec()];
        let stream = TcpStream::connect(rig.https()).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake");
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(offered.as_bytes()));
    }
}

#[tokio::test]
async fn renewed_certificate_is_served_without_dropping_connections() {
    let pair = Pair::new();
    let rig = Rig::with_pair(router(), WATCHED, &pair.cert(), &pair.key());
    let mut before = Raw::tls(rig.https(), pair.trusted()).await.expect("the first certificate");
    assert_eq!(before.get("/").await.body, "fine");
    pair.renew();
    let picked_up = async {
        while Raw::tls(rig.https(), pair.trusted()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, picked_up).await.expect("the second certificate");
    assert_eq!(before.get("/").await.body, "fine", "the connection lives on");
}

#[tokio::test]
async fn bad_renewal_is_skipped() {
    let pair = Pair::new();
    let rig = Rig::with_pair(router(), WATCHED, &pair.cert(), &pair.key());
    let first = pair.trusted();
    let other = KeyPair::generate().expect("a key").serialize_pem();
    for (path, content) in [(pair.cert(), "junk"), (pair.key(), "junk"), (pair.key(), other.as_str())] {
        std::fs::write(path, content).expect("written");
        tokio::time::sleep(Duration::from_millis(100)).await;
        Raw::tls(rig.https(), Arc::clone(&first)).await.expect("still the first certificate");
    }
    std::fs::remove_file(pair.cert()).expect("removed");
    tokio::time::sleep(Duration::from_millis(100)).await;
    Raw::tls(rig.https(), first).await.expect("still the first certificate");
    pair.renew();
    let picked_up = async {
        while Raw::tls(rig.https(), pair.trusted()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, picked_up).await.expect("the good one");
}

/// An authority, and a client configuration with a certificate of it.
fn client_of(authority: &KeyPair, params: &CertificateParams) -> Arc<ClientConfig> {
    let key = KeyPair::generate().expect("a key");
    let issuer = Issuer::from_params(params, authority);
    let cert = CertificateParams::new(Vec::new()).expect("params").signed_by(&key, &issuer).expect("signed");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate::pair().certificate).expect("PEM")).expect("usable");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring's versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![cert.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).expect("a key"));
    Arc::new(config.expect("a client configuration"))
}

#[tokio::test]
async fn client_without_certificate_of_the_client_ca_is_refused() {
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (ours, theirs) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, params.self_signed(&ours).expect("signed").pem()).expect("written");
    let rig = Rig::start(router(), &[("tls.client_ca", &file.display().to_string())]);
    let mut member = Raw::tls(rig.https(), client_of(&ours, &params)).await.expect("a handshake");
    assert_eq!(member.get("/").await.body, "fine");
    // In TLS 1.3 the client is done before the server has judged it: the refusal comes with the first read.
    for stranger in [client_of(&theirs, &params), certificate::client_config()] {
        if let Ok(mut connection) = Raw::tls(rig.https(), stranger).await {
            connection.send("GET / HTTP/1.1\r\nhost: t\r\n\r\n").await;
            assert!(connection.try_answer().await.is_none(), "a stranger got an answer");
        }
    }
}
