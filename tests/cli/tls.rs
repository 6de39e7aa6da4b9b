//! Which certificates the command line accepts, how soon it refuses others, and where it sends credentials.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::lock::job::{Ended, latchd, run};

/// A certificate with its key, in a folder of its own.
struct Pair {
    folder: tempfile::TempDir,
    pem: String,
    key: String,
}

impl Pair {
    fn of(pem: String, key: &KeyPair) -> Pair {
        let folder = tempfile::tempdir().expect("a directory");
        std::fs::write(folder.path().join("cert.pem"), &pem).expect("written");
        Pair { folder, pem, key: key.serialize_pem() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params
}

/// As `openssl req -x509` makes them: signed by itself, and an authority.
fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let mut params = params(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    Pair::of(params.self_signed(&key).expect("a certificate").pem(), &key)
}

fn signed_by_an_authority() -> Pair {
    let (mut authority, authority_key) = (params(&[]), KeyPair::generate().expect("a key"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "an authority");
    let key = KeyPair::generate().expect("a key");
    let issuer = Issuer::new(authority, authority_key);
    Pair::of(params(&["127.0.0.1"]).signed_by(&key, &issuer).expect("a certificate").pem(), &key)
}

/// A server with this pair that lists no locks, and records its requests.
fn server(pair: &Pair) -> (SocketAddr, Arc<Mutex<String>>) {
    let certificate = CertificateDer::from_pem_slice(pair.pem.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![certificate], key);
    let config = Arc::new(config.expect("a pair"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let asked = Arc::new(Mutex::new(String::new()));
    let notes = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &config, &notes);
        }
    });
    (address, asked)
}

fn answer(stream: TcpStream, config: &Arc<rustls::ServerConfig>, notes: &Mutex<String>) {
    let session = rustls::ServerConnection::new(Arc::clone(config)).expect("a configuration");
    let mut tls = rustls::StreamOwned::new(session, stream);
    let mut asked = [0; 4096];
    // A client that does not trust it closes the connection.
    let Ok(length @ 1..) = tls.read(&mut asked) else { return };
    notes.lock().expect("no panic").push_str(&String::from_utf8_lossy(&asked[..length]));
    let body = r#"{"locks":[],"next_cursor":null}"#;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = tls.write_all(format!("{head}{body}").as_bytes());
    let _ = tls.flush();
}

fn locks(address: SocketAddr, flags: &[&str], folder: &Path) -> Ended {
    let mut command = latchd(&format!("https://{address}"));
    command.args(["locks", "--output", "json"]).args(flags).current_dir(folder);
    run(command)
}

#[test]
fn certificate_in_ca_file_is_trusted_with_any_signer() {
    for (kind, pair) in [
        ("signed by itself, an authority", self_signed(&["127.0.0.1"], |_| {})),
        ("signed by itself, none", self_signed(&["127.0.0.1"], |params| params.is_ca = IsCa::NoCa)),
        ("signed by an authority", signed_by_an_authority()),
    ] {
        let (address, _) = server(&pair);
        let ca = pair.path().display().to_string();
        let ended = locks(address, &["--ca", &ca, "--api-key", "a key"], pair.folder.path());
        assert_eq!(ended.code, Some(0), "{kind}: {}", ended.stderr);
    }
}

#[test]
fn unknown_misnamed_and_expired_certificates_are_refused_at_once() {
    let good = self_signed(&["127.0.0.1"], |_| {});
    let twin = self_signed(&["127.0.0.1"], |_| {});
    let misnamed = self_signed(&["locks.example"], |_| {});
    let ended = self_signed(&["127.0.0.1"], |params| params.not_after = rcgen::date_time_ymd(2021, 1, 1));
    for (kind, shown, given) in
        [("another", &twin, &good), ("a wrong name", &misnamed, &misnamed), ("ended", &ended, &ended)]
    {
        let (address, asked) = server(shown);
        let ca = given.path().display().to_string();
        let refused = locks(address, &["--ca", &ca, "--api-key", "a key"], shown.folder.path());
        assert_eq!(refused.code, Some(78), "{kind}: {}", refused.stderr);
        let begun = Instant::now();
        for wait in [&["--wait", "0s"][..], &["--wait", "60s"], &[]] {
            let mut command = latchd(&format!("https://{address}"));
            command.args(["lock", "a", "--ca", &ca]).args(wait).args(["--", "echo", "ran"]);
            let refused = run(command);
            assert_eq!((refused.code, &*refused.stdout), (Some(78), ""), "{kind}, {wait:?}: {}", refused.stderr);
        }
        assert!(begun.elapsed() < Duration::from_secs(50), "{kind}: {:?}", begun.elapsed());
        assert_eq!(*asked.lock().expect("no panic"), "", "{kind}");
    }
}

#[test]
fn server_without_tls_is_reported_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    let ended = locks(address, &[], Path::new("/"));
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("does it listen with https?"), "{}", ended.stderr);
}

#[test]
fn http_url_to_https_port_is_a_config_error() {
    let server = crate::support::spec::Spec::in_memory().start();
    let alerting = TcpListener::bind("127.0.0.1:0").expect("a port");
    let others = alerting.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in alerting.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            // TLS libraries answer other protocols with an alert.
            let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, 70]);
        }
    });
    for address in [server.https(), others] {
        for command in [&["locks"][..], &["sessions"], &["members", "list"], &["watch"], &["lock", "a", "--", "true"]] {
            let mut started = latchd(&format!("http://{address}"));
            started.args(command);
            let ended = run(started);
            assert_eq!(ended.code, Some(78), "{command:?}: {}", ended.stderr);
            assert!(ended.stderr.contains("https"), "{command:?}: {}", ended.stderr);
        }
    }
}

#[test]
fn node_with_bad_certificate_is_skipped() {
    let (good, twin) = (self_signed(&["127.0.0.1"], |_| {}), self_signed(&["127.0.0.1"], |_| {}));
    let (bad_address, _) = server(&twin);
    let (address, _) = server(&good);
    let mut command = latchd(&format!("https://{bad_address},https://{address}"));
    command.args(["locks", "--output", "json", "--ca"]).arg(good.path());
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn credential_is_sent_only_to_known_local_certificate() {
    let pair = self_signed(&["127.0.0.1"], |_| {});
    let (address, asked) = server(&pair);
    let said = || std::mem::take(&mut *asked.lock().expect("no panic"));
    for credential in ["--api-key", "--password"] {
        let refused = locks(address, &[credential, "the secret"], Path::new("/"));
        assert_eq!(refused.code, Some(78), "{}", refused.stderr);
        assert!(refused.stderr.contains("with --ca or LATCHD_CA"), "{}", refused.stderr);
        assert_eq!(said(), "", "{credential}");
    }
    assert_eq!(locks(address, &[], Path::new("/")).code, Some(0));
    assert!(said().starts_with("GET /v1/locks"));
    let home = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(home.path().join("certs")).expect("made");
    std::fs::copy(pair.path(), home.path().join("certs/dev-cert.pem")).expect("copied");
    let known = locks(address, &["--api-key", "the secret"], home.path());
    assert_eq!(known.code, Some(0), "{}", known.stderr);
    assert!(said().to_lowercase().contains("authorization: bearer the secret"));
}
