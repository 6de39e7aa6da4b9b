//! Traces for a collector with certificates of an authority of its own, which asks for a certificate, too.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::collector::Collector;
use crate::dialects::dialect_client::until;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// What the authority has signed, in PEM and in DER.
struct Pair {
    cert: String,
    key: String,
    der: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params, KeyPair::generate().expect("a key"))
}

fn signed_by(authority: &(CertificateParams, KeyPair), name: &str) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("params");
    let cert = params.signed_by(&key, &Issuer::from_params(&authority.0, &authority.1)).expect("signed");
    let der = (cert.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).expect("a key"));
    Pair { cert: cert.pem(), key: key.serialize_pem(), der }
}

/// A collector that asks for a certificate of the authority.
fn collector(authority: &(CertificateParams, KeyPair)) -> Collector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.self_signed(&authority.1).expect("signed").der().clone()).expect("an authority");
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build();
    let pair = signed_by(authority, "127.0.0.1").der;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.expect("a verifier"))
        .with_single_cert(vec![pair.0], pair.1)
        .expect("a pair");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Collector::start_with(Some(config))
}

fn spec(home: &Path, collector: &Collector, protocol: &str, ca: &str) -> Spec {
    let path = |name: &str| format!("\"{}\"", home.join(name).display());
    Spec::in_memory().configuration(format!(
        "[tracing]\nendpoint = \"https://{}\"\nprotocol = \"{protocol}\"\nca_file = {}\n\
         client_cert_file = {}\nclient_key_file = {}\n",
        collector.address,
        path(ca),
        path("cert"),
        path("key")
    ))
}

fn traced(server: &Server) {
    assert_eq!(Client::plain(server).get("/v1/locks").status, 200);
}

#[test]
fn spans_reach_a_collector_whose_authority_is_named_and_no_other() {
    let (home, ours) = (tempfile::tempdir().expect("a directory"), authority("ours"));
    let shown = signed_by(&ours, "latchd");
    let pem = |(params, key): &(CertificateParams, KeyPair)| params.self_signed(key).expect("signed").pem();
    let files = [("ca", pem(&ours)), ("other", pem(&authority("another"))), ("cert", shown.cert), ("key", shown.key)];
    for (name, text) in files {
        std::fs::write(home.path().join(name), text).expect("written");
    }
    for protocol in ["http/protobuf", "grpc"] {
        let collector = collector(&ours);
        let server = spec(home.path(), &collector, protocol, "ca").start();
        traced(&server);
        until("the spans", || !collector.spans().is_empty());
        // It serves on, and says why once.
        let server = spec(home.path(), &collector, protocol, "other").start();
        let (before, told) = (collector.spans().len(), "spans are lost: the collector does not take them");
        traced(&server);
        until("the reason", || server.stderr().contains(told));
        traced(&server);
        let log = server.stop().stderr;
        assert!(log.contains("UnknownIssuer") && log.matches(told).count() == 1, "{protocol}: {log}");
        assert_eq!(collector.spans().len(), before);
    }
}

#[test]
fn authority_that_cannot_be_read_is_named_at_the_start() {
    let (home, collector) = (tempfile::tempdir().expect("a directory"), Collector::start());
    let Err(output) = spec(home.path(), &collector, "grpc", "missing").try_start() else { panic!("it started") };
    assert!(output.contains("tracing.ca_file") && output.contains("missing cannot be used"), "{output}");
}
