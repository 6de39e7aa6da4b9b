//! Client certificates that are mapped to callers: names that lie, other authorities, and what ends them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rights::with;
use crate::support::audit::Trail;
use crate::support::certificate;
use crate::support::http::Connection;
use crate::support::process::Server;
use crate::support::spec::Spec;
use latchd::access::hash_key;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};

const PATIENCE: Duration = Duration::from_secs(60);
const MAPPED: &str = "URI:spiffe://prod/ci";

/// An authority of client certificates.
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority { params, key: KeyPair::generate().expect("a key") }
    }

    pub fn pem(&self) -> String {
        self.params.self_signed(&self.key).expect("signed").pem()
    }

    /// A certificate for these names, and its key.
    pub fn pair(&self, common_name: &str, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect();
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).expect("signed");
        (cert, key)
    }

    /// A client with a certificate for these names.
    fn client(&self, common_name: &str, names: &[&str]) -> Arc<ClientConfig> {
        let (cert, key) = self.pair(common_name, names);
        shows(&cert, &key)
    }
}

/// A client that shows this certificate.
pub fn shows(cert: &rcgen::Certificate, key: &KeyPair) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate::pair().certificate).expect("PEM")).expect("usable");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring's versions")
        .with_root_certificates(roots);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    Arc::new(config.with_client_auth_cert(vec![cert.der().clone()], key).expect("a configuration"))
}

fn alternative(name: &str) -> SanType {
    let (kind, name) = name.split_once(':').expect("a kind");
    let text = name.try_into().expect("ASCII");
    match kind {
        "URI" => SanType::URI(text),
        "email" => SanType::Rfc822Name(text),
        _ => SanType::DnsName(text),
    }
}

struct Rig {
    server: Server,
    home: tempfile::TempDir,
    keys: PathBuf,
}

fn file(more: &str) -> String {
    let key = |name: &str, role: &str| {
        format!("[[keys]]\nname = \"{name}\"\nsha256 = \"{}\"\nrole = \"{role}\"\n", hash_key(name))
    };
    key("admin", "admin") + &key("reader", "read-only") + more
}

fn rule(name: &str, by: &str) -> String {
    format!("[[certificates]]\nname = \"{name}\"\n{by}\nrole = \"client\"\nprefixes = [\"{name}/\"]\n")
}

impl Rig {
    fn start(authority: &Authority, rules: &str) -> Rig {
        Rig::start_with(authority, rules, "")
    }

    fn start_with(authority: &Authority, rules: &str, more: &str) -> Rig {
        let home = tempfile::tempdir().expect("a directory");
        let (keys, ca) = (home.path().join("keys.toml"), home.path().join("ca.pem"));
        std::fs::write(&keys, file(rules)).and_then(|()| std::fs::write(&ca, authority.pem())).expect("written");
        let tls = format!("[tls]\nclient_ca = {ca:?}\nclient_auth = \"optional\"\nreload_interval = \"1h\"\n");
        let configuration = format!("{tls}[access]\nkeys_file = {keys:?}\nreload_interval = \"1h\"\n");
        let configuration = configuration + more;
        let spec = Spec::in_memory().argument("--listen").argument("rediss://127.0.0.1:0");
        Rig { server: spec.configuration(configuration).start(), home, keys }
    }

    fn connect(&self, client: &Arc<ClientConfig>) -> Connection {
        Connection::tls_with(self.server.https(), Arc::clone(client)).expect("a connection")
    }

    fn status(&self, client: &Arc<ClientConfig>, headers: &[(&str, &str)]) -> u16 {
        status(&mut self.connect(client), headers)
    }

    fn until_status(&self, connection: &mut Connection, wanted: u16) {
        let begun = Instant::now();
        while status(connection, &[]) != wanted {
            assert!(begun.elapsed() < PATIENCE, "{}", self.server.stderr());
        }
    }
}

fn status(connection: &mut Connection, headers: &[(&str, &str)]) -> u16 {
    connection.request("GET", "/v1/locks", headers, b"").expect("an answer").status
}

#[test]
fn certificate_makes_the_caller_it_is_mapped_to_and_no_other() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let by_subject = rule("subject", "subject = \"CN=by subject\"");
    let two = rule("two", "san = [\"DNS:two.example\", \"email:two@example\"]");
    let rig = Rig::start(&ours, &(rule("ci", &format!("san = [\"{MAPPED}\"]")) + &by_subject + &two));
    let ci = ours.client("anything", &[MAPPED]);
    let mut connection = rig.connect(&ci);
    let take = |connection: &mut Connection, name: &str, headers: &[(&str, &str)]| {
        let target = format!("/getlock?lockname={name}&lifetime=5");
        connection.request("GET", &target, headers, b"").expect("an answer").status
    };
    assert_eq!(take(&mut connection, "ci/a", &[]), 200);
    assert_eq!(take(&mut connection, "other", &[]), 403, "beyond its prefix");
    assert_eq!(connection.request("GET", "/metrics", &[], b"").expect("an answer").status, 403);
    // A wrong key is not made good by a certificate, and a right one counts alone.
    assert_eq!(rig.status(&ci, &[("x-api-key", "wrong")]), 401);
    assert_eq!(take(&mut rig.connect(&ci), "ci/b", &[("x-api-key", "reader")]), 403);
    // Behind a proxy, the certificate is the proxy's.
    assert_eq!(rig.status(&ci, &[("x-forwarded-for", "192.0.2.1")]), 401);
    for (client, wanted, what) in [
        (ours.client("by subject", &[]), 200, "its subject"),
        (ours.client("x", &["DNS:TWO.example"]), 200, "one of two names, in other letters"),
        (ours.client("x", &["email:two@example"]), 200, "the other name"),
        (ours.client("x", &["DNS:two.example", "email:two@example"]), 200, "both names of one caller"),
        (ours.client("x", &["DNS:two.example", MAPPED]), 401, "names of two callers"),
        (ours.client("x", &["DNS:spiffe://prod/ci"]), 401, "the name in another kind"),
        (ours.client("spiffe://prod/ci", &[]), 401, "the name in the subject"),
        (ours.client("x", &["URI:spiffe://prod/ci/more"]), 401, "a longer name"),
        (ours.client("admin", &[]), 401, "the name of a key"),
        (certificate::client_config(), 401, "no certificate"),
    ] {
        assert_eq!(rig.status(&client, &[]), wanted, "{what}");
        assert_eq!(rig.status(&client, &[("x-api-key", "admin")]), 200, "{what}, with a key");
    }
    let stranger = Connection::tls_with(rig.server.https(), theirs.client("x", &[MAPPED]));
    let answered = stranger.and_then(|mut connection| connection.request("GET", "/v1/locks", &[], b""));
    assert!(answered.is_err(), "another authority");
    assert_eq!(redis(rig.server.rediss(), &ci), "$-1\r\n");
    assert!(redis(rig.server.rediss(), &certificate::client_config()).starts_with("-NOAUTH"));
}

/// The first answer to `GET ci/a` over the Redis protocol.
fn redis(address: SocketAddr, client: &Arc<ClientConfig>) -> String {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut config = ClientConfig::clone(client);
    config.alpn_protocols.clear();
    let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a configuration");
    let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(address).expect("a connection"));
    stream.write_all(b"*2\r\n$3\r\nGET\r\n$4\r\nci/x\r\n").expect("sent");
    let mut answer = [0; 64];
    let count = stream.read(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

/// How the handshake went, and the status.
fn resumed(rig: &Rig, client: &Arc<ClientConfig>) -> (Option<HandshakeKind>, u16) {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = rustls::ClientConnection::new(Arc::clone(client), name).expect("a configuration");
    let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(rig.server.https()).expect("connected"));
    stream.write_all(b"GET /v1/locks HTTP/1.1\r\nhost: t\r\n\r\n").expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    let status = String::from_utf8_lossy(&answer[9..]).parse().expect("a status");
    (stream.conn.handshake_kind(), status)
}

#[test]
fn certificate_that_opens_nothing_is_counted_and_audited() {
    let (ours, trail) = (Authority::new(), Trail::new());
    let mapping = rule("ci", &format!("san = [\"{MAPPED}\"]"));
    let rig = Rig::start_with(&ours, &mapping, &trail.configuration("continue", "1MiB"));
    let failed = || {
        let text = with(&rig.server, "admin").get("/metrics").text();
        text.lines().find_map(|line| line.strip_prefix("latchd_failed_logins_total ")?.parse::<u32>().ok())
    };
    assert_eq!(rig.status(&ours.client("x", &[MAPPED]), &[]), 200);
    assert_eq!(rig.status(&certificate::client_config(), &[]), 401, "no certificate at all is no failure");
    assert_eq!((failed(), trail.lines().len()), (Some(0), 0));
    let stranger = ours.client("x", &["URI:spiffe://prod/other"]);
    assert_eq!(rig.status(&stranger, &[("x-api-key", "admin")]), 200, "a key opens for whoever has one");
    assert_eq!(rig.status(&stranger, &[]), 401);
    assert!(redis(rig.server.rediss(), &stranger).starts_with("-NOAUTH"));
    assert_eq!(failed(), Some(2));
    let lines = trail.lines();
    let [refused] = &lines[..] else { panic!("one a minute of an address: {lines:?}") };
    assert_eq!((&refused["stage"], &refused["from"]), (&"refused-credential".into(), &"127.0.0.1".into()));
    assert_eq!(refused["reason"], "this client certificate opens nothing here");
}

#[test]
fn removed_mapping_and_replaced_authority_end_open_and_resumed_connections() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mapping = rule("ci", &format!("san = [\"{MAPPED}\"]"));
    let rig = Rig::start(&ours, &mapping);
    let ci = ours.client("x", &[MAPPED]);
    let mut open = rig.connect(&ci);
    assert_eq!(status(&mut open, &[]), 200);
    assert_eq!(
        resumed(&rig, &ci),
        (Some(HandshakeKind::Resumed), 200),
        "it is known by the certificate it showed first"
    );
    std::fs::write(&rig.keys, file("")).expect("written");
    rig.server.reload();
    rig.until_status(&mut open, 401);
    assert_eq!(resumed(&rig, &ci).1, 401);
    std::fs::write(&rig.keys, file(&mapping)).expect("written");
    rig.server.reload();
    rig.until_status(&mut open, 200);
    std::fs::write(rig.home.path().join("ca.pem"), theirs.pem()).expect("written");
    rig.server.reload();
    rig.until_status(&mut open, 401);
    assert_eq!(rig.status(&theirs.client("x", &[MAPPED]), &[]), 200, "the new authority's");
}

#[test]
fn mapping_without_authorities_or_names_is_refused() {
    let rule = |more: &str| format!("[access]\ncertificates = [{{ name = \"ci\", role = \"client\", {more} }}]\n");
    for (configuration, why) in [
        (rule("san = [\"DNS:ci\"]"), "access.certificates needs tls.client_ca"),
        (rule("san = []"), "need either `san` or `subject`"),
        (rule("san = [\"DNS:ci\"], subject = \"CN=ci\""), "need either `san` or `subject`"),
        (
            rule("san = [\"DNS:ok\", \"ci\"]"),
            "access.certificates[0].san = [\"DNS:ok\", \"ci\"] is not accepted: expected names",
        ),
        (rule("san = [\"DNS:ok\", \"URI:*\"]"), "IP:10.0.0.1; number 2 is none"),
        (rule("subject = \"backup\""), "no certificate has the subject of \"ci\": write it as \"CN=backup,O=Example\""),
        (rule("subject = \"CN=backup, O=Example\""), "write it as \"CN=backup,O=Example\""),
    ] {
        let refused = Spec::in_memory().configuration(configuration).try_start().err().expect("no start");
        assert!(refused.contains(why), "{refused}");
    }
}
