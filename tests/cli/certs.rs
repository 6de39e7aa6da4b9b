//! `latchd certs`: its files, and connections between nodes that use them.

use crate::support::process::{Ended, run_to_end};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

fn certs(action: &str, dir: &Path, nodes: &str) -> Ended {
    run_to_end(&["certs", action, "--dir", &dir.display().to_string(), "--nodes", nodes])
}

fn made(action: &str, dir: &Path, nodes: &str) {
    let ended = certs(action, dir, nodes);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stdout.contains("--peer-ca ca.pem"), "{}", ended.stdout);
}

fn pair(dir: &Path, node: u64) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let cert = CertificateDer::from_pem_file(dir.join(format!("node{node}.pem"))).expect("a certificate");
    (vec![cert], PrivateKeyDer::from_pem_file(dir.join(format!("node{node}.key"))).expect("a key"))
}

fn roots(dir: &Path) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(dir.join("ca.pem")).expect("a file") {
        roots.add(authority.expect("an authority")).expect("it can be trusted");
    }
    Arc::new(roots)
}

/// Lets the node `client` of one directory dial the node `server` of another, in memory.
fn shake_hands(client: (&Path, u64), server: (&Path, u64), host: &'static str) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(server.0), provider.clone()).build().expect("one");
    let (chain, key) = pair(server.0, server.1);
    let listens = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let listens = listens.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    let (chain, key) = pair(client.0, client.1);
    let dials = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let dials = dials.with_root_certificates(roots(client.0)).with_client_auth_cert(chain, key)?;
    let mut client = ClientConnection::new(Arc::new(dials), ServerName::try_from(host).expect("a name"))?;
    let mut server = ServerConnection::new(Arc::new(listens))?;
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory");
        }
        server.read_tls(&mut wire.as_slice()).expect("memory");
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory");
        }
        client.read_tls(&mut wire.as_slice()).expect("memory");
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn nodes_trust_only_certificates_of_their_authority() {
    let home = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (home.path().join("ours"), home.path().join("theirs"));
    made("init", &ours, "1=10.0.0.1,2=node-2.example,2=10.0.0.2");
    made("init", &theirs, "1=10.0.0.1");
    for host in ["node-2.example", "10.0.0.2", "localhost", "127.0.0.1", "::1"] {
        shake_hands((&ours, 1), (&ours, 2), host).unwrap_or_else(|error| panic!("{host}: {error}"));
    }
    shake_hands((&ours, 2), (&ours, 1), "10.0.0.1").expect("the other way round");
    shake_hands((&ours, 1), (&ours, 2), "10.0.0.3").expect_err("a name that is not in it");
    shake_hands((&theirs, 1), (&ours, 2), "10.0.0.2").expect_err("another authority");
}

#[test]
fn added_node_has_certificate_of_same_authority() {
    let home = tempfile::tempdir().expect("a directory");
    made("init", home.path(), "1=10.0.0.1");
    made("add", home.path(), "4=10.0.0.4");
    shake_hands((home.path(), 4), (home.path(), 1), "10.0.0.1").expect("old and new");
    shake_hands((home.path(), 1), (home.path(), 4), "10.0.0.4").expect("new and old");
}

#[test]
fn keys_are_private_and_nothing_is_overwritten() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    made("init", dir, "1=10.0.0.1");
    for (name, mode) in [("ca.key", 0o600), ("node1.key", 0o600), ("ca.pem", 0o644), ("node1.pem", 0o644)] {
        assert_eq!(std::fs::metadata(dir.join(name)).expect(name).permissions().mode() & 0o777, mode, "{name}");
    }
    let read = || ["ca.key", "node1.key"].map(|name| std::fs::read(dir.join(name)).expect(name));
    let before = read();
    for (action, nodes) in [("init", "2=10.0.0.2"), ("add", "1=10.0.0.1"), ("add", "2=10.0.0.2,1=10.0.0.1")] {
        let ended = certs(action, dir, nodes);
        assert!(!ended.status.success() && ended.stderr.contains("nothing is overwritten"), "{}", ended.stderr);
    }
    assert_eq!(read(), before);
    assert!(!dir.join("node2.pem").exists(), "refused before anything is written");
}

#[test]
fn bad_nodes_and_missing_authorities_are_refused() {
    let home = tempfile::tempdir().expect("a directory");
    for (action, nodes, message) in [
        ("init", "10.0.0.1", "is not an id and a host, such as 1=10.0.0.1"),
        ("init", "0=10.0.0.1", "is not an id and a host"),
        ("init", "1=https://10.0.0.1:9443", "leave scheme and port out"),
        ("init", "1=", "is neither a host name nor an address"),
        ("add", "4=10.0.0.4", "`latchd certs init` makes the authority"),
    ] {
        let ended = certs(action, home.path(), nodes);
        assert!(!ended.status.success() && ended.stderr.contains(message), "{nodes}: {}", ended.stderr);
    }
}

fn run(action: &str, dir: &Path, more: &[&str]) -> Ended {
    run_to_end(&[&["certs", action, "--dir", &dir.display().to_string()], more].concat())
}

fn done(action: &str, dir: &Path, more: &[&str]) -> String {
    let ended = run(action, dir, more);
    assert!(ended.status.success(), "{action}: {}", ended.stderr);
    ended.stdout
}

fn refused(action: &str, dir: &Path, more: &[&str], message: &str) {
    let ended = run(action, dir, more);
    assert!(!ended.status.success() && ended.stderr.contains(message), "{action}: {}{}", ended.stdout, ended.stderr);
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut files: Vec<_> = entries.map(|path| (name(&path), std::fs::read(&path).expect("read"))).collect();
    files.sort();
    files
}

/// A copy of the files that a node has.
fn copied(dir: &Path, into: &Path) {
    std::fs::create_dir_all(into).expect("made");
    files(dir).into_iter().for_each(|(name, bytes)| std::fs::write(into.join(name), bytes).expect("written"));
}

#[test]
fn renewed_pairs_keep_names_and_authority_but_not_keys() {
    let home = tempfile::tempdir().expect("a directory");
    let (dir, before) = (home.path().join("pki"), home.path().join("before"));
    made("init", &dir, "1=10.0.0.1,2=node-2.example,2=10.0.0.2,3=10.0.0.3");
    copied(&dir, &before);
    let told = done("renew", &dir, &["--nodes", "1,2"]);
    assert!(told.contains("node 1, node 2") && told.contains("without a restart"), "{told}");
    let changed = |name: &str| std::fs::read(dir.join(name)).ok() != std::fs::read(before.join(name)).ok();
    let names = ["node1.pem", "node1.key", "node2.pem", "node2.key", "node3.pem", "node3.key", "ca.pem", "ca.key"];
    assert_eq!(names.map(changed), [true, true, true, true, false, false, false, false]);
    assert_eq!(std::fs::metadata(dir.join("node1.key")).expect("a key").permissions().mode() & 0o777, 0o600);
    assert_eq!(files(&dir).len(), names.len(), "no draft stays");
    for host in ["node-2.example", "10.0.0.2", "localhost", "::1"] {
        shake_hands((&before, 1), (&dir, 2), host).unwrap_or_else(|error| panic!("{host}: {error}"));
        shake_hands((&dir, 1), (&before, 2), host).unwrap_or_else(|error| panic!("{host}: {error}"));
    }
    done("renew", &dir, &[]);
    assert!(changed("node3.pem"), "all of them unless some are named");
}

#[test]
fn authority_rotation_keeps_trust_at_every_step() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("pki");
    let stage = |name: &str| {
        let into = home.path().join(name);
        copied(&dir, &into);
        into
    };
    made("init", &dir, "1=10.0.0.1,2=10.0.0.2");
    let first = stage("first");
    let told = done("rotate", &dir, &[]);
    assert!(told.contains("`latchd certs renew`") && told.contains("`latchd certs retire`"), "{told}");
    let both = stage("both");
    refused("rotate", &dir, &[], "`latchd certs retire`");
    refused("retire", &dir, &[], "`latchd certs renew --dir");
    done("renew", &dir, &[]);
    let renewed = stage("renewed");
    done("retire", &dir, &[]);
    refused("retire", &dir, &[], "`latchd certs rotate`");
    let steps = [&first, &both, &renewed, &dir];
    for pair in steps.windows(2) {
        let (old, new) = (pair[0].as_path(), pair[1].as_path());
        shake_hands((old, 1), (new, 2), "10.0.0.2").unwrap_or_else(|error| panic!("{old:?} to {new:?}: {error}"));
        shake_hands((new, 1), (old, 2), "10.0.0.2").unwrap_or_else(|error| panic!("{new:?} to {old:?}: {error}"));
    }
    shake_hands((&first, 1), (&dir, 2), "10.0.0.2").expect_err("the old authority is trusted no more");
}

#[test]
fn impossible_renewal_changes_nothing_and_gives_advice() {
    let home = tempfile::tempdir().expect("a directory");
    let (dir, other) = (home.path().join("pki"), home.path().join("other"));
    refused("renew", &dir, &[], "cannot be read");
    made("init", &dir, "1=10.0.0.1");
    made("init", &other, "1=10.0.0.1");
    let before = files(&dir);
    refused("renew", &dir, &["--nodes", "7"], "`latchd certs add`");
    std::fs::copy(other.join("ca.key"), dir.join("ca.key")).expect("copied");
    refused("renew", &dir, &[], "is not the key of");
    std::fs::remove_file(dir.join("ca.key")).expect("removed");
    for action in ["renew", "rotate"] {
        refused(action, &dir, &[], "`latchd certs init` makes the authority");
    }
    std::fs::write(dir.join("ca.key"), &before[0].1).expect("written");
    assert_eq!(files(&dir), before);
}
