//! Nodes that talk over TLS with certificates of their own authority; connections without one are refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use latchd::raft::{NodeState, PeerFiles, PeerOptions, RaftNode, RaftOptions, TlsTransport, Transport};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::impostor::Impostor;
use super::network::{Echo, Node, SOON, leader, memory, stop};
use super::support::Journal;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// A pair from `authority`, and the authority to trust.
fn files(dir: &Path, name: &str, authority: &Authority, trusted: &Authority) -> PeerFiles {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let cert = params.signed_by(&key, authority).expect("a certificate");
    let at = |kind: &str| dir.join(format!("{name}-{kind}.pem"));
    std::fs::write(at("ca"), trusted.pem()).expect("written");
    std::fs::write(at("cert"), cert.pem()).expect("written");
    std::fs::write(at("key"), key.serialize_pem()).expect("written");
    PeerFiles { ca: at("ca"), cert: at("cert"), key: at("key") }
}

fn bind(files: PeerFiles) -> (Arc<TlsTransport>, SocketAddr) {
    let transport = TlsTransport::bind(([127, 0, 0, 1], 0).into(), files).expect("bound");
    let address = transport.local_addr().expect("an address");
    (Arc::new(transport), address)
}

async fn start(id: u64, transport: Arc<TlsTransport>, initial: &BTreeMap<u64, String>) -> Node {
    let peers = PeerOptions { advertise: initial[&id].clone(), initial: initial.clone(), transport };
    let options = RaftOptions { peers: Some(peers), ..memory(id) };
    let (journal, echo) = (Journal::default(), Echo::default());
    let raft = RaftNode::start(options, journal.clone(), Arc::new(echo.clone())).await.expect("a node");
    Node { id, raft, journal, echo }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_replicate_over_tls() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let own = authority();
    let bound: Vec<_> = (1..=3).map(|id| bind(files(dir.path(), &format!("node{id}"), &own, &own))).collect();
    let initial: BTreeMap<u64, String> =
        bound.iter().zip(1..).map(|((_, address), id)| (id, format!("https://{address}"))).collect();
    let mut nodes = Vec::new();
    for ((transport, _), id) in bound.iter().zip(1..) {
        nodes.push(start(id, transport.clone(), &initial).await);
    }
    let lead = leader(&nodes).await;
    // More than one record, and more than one message.
    let large = "x".repeat(3 << 20);
    lead.propose("small").await;
    let index = lead.propose(&large).await;
    for node in &nodes {
        node.applies(index).await;
        assert!(node.journal.strings() == ["small", large.as_str()], "node {}", node.id);
    }
    // A renewed pair is used by the next connection.
    files(dir.path(), "node1", &own, &own);
    assert_eq!(nodes[1].raft.call(1, "still there?".into()).await.expect("an answer"), "2: still there?");
    stop(&nodes).await;
}

/// Sends the hello of node 2; returns the first byte of the answer.
async fn says_hello(transport: &dyn Transport, url: &str) -> std::io::Result<u8> {
    let hex = include_str!("../golden/frames/v1-hello.hex").trim();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    let hello: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let answer = async {
        let mut stream = transport.connect(url).await?;
        stream.write_all(&hello).await?;
        stream.flush().await?;
        // TLS 1.3 tells a client only now that its certificate was refused.
        stream.read_u8().await
    };
    tokio::time::timeout(SOON, answer).await.expect("in time")
}

/// The TLS handshake fails, in both directions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stranger_without_certificate_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (own, foreign) = (authority(), authority());
    let (transport, address) = bind(files(dir.path(), "own", &own, &own));
    let (pretender, pretended) = bind(files(dir.path(), "foreign", &foreign, &own));
    let url = format!("https://{address}");
    let node = start(1, transport.clone(), &BTreeMap::from([(1, url.clone())])).await;
    node.follows(&[1]).await;
    let (insider, _) = bind(files(dir.path(), "insider", &own, &own));
    assert!(says_hello(&*insider, &url).await.is_ok(), "it answers who has a certificate");
    says_hello(&*pretender, &url).await.expect_err("a certificate of another authority");
    // Who listens without a good certificate is not talked to either.
    let serves = tokio::spawn(async move {
        let incoming = pretender.accept().await.expect("a connection");
        incoming.handshake.await.map(drop)
    });
    let url = format!("https://{pretended}");
    let dialled = tokio::time::timeout(SOON, transport.connect(&url)).await.expect("in time");
    assert!(dialled.is_err(), "a server of another authority");
    serves.await.expect("no panic").expect_err("the client went away");
    // Without TLS there is nothing to be had at all.
    let mut plain = tokio::net::TcpStream::connect(address).await.expect("connected");
    plain.write_all(&[0, 0, 0, 10, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]).await.expect("written");
    let mut answer = Vec::new();
    drop(tokio::time::timeout(SOON, plain.read_to_end(&mut answer)).await.expect("closed"));
    assert!(answer.len() < 16 && answer.first() != Some(&0), "an alert of TLS at most: {answer:?}");
    node.propose("it goes on").await;
    assert_eq!(*node.raft.state().borrow(), NodeState::Member);
    node.raft.shutdown().await;
}

#[test]
fn unusable_certificate_files_are_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let own = authority();
    let good = files(dir.path(), "good", &own, &own);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _within = runtime.enter();
    let listen = ([127, 0, 0, 1], 0).into();
    for (bad, named) in [
        (PeerFiles { ca: dir.path().join("missing.pem"), ..good.clone() }, "missing.pem: cannot be read"),
        (PeerFiles { cert: good.key.clone(), ..good.clone() }, "holds no PEM certificate"),
        (PeerFiles { key: good.cert.clone(), ..good.clone() }, "holds no PEM private key"),
        (PeerFiles { key: files(dir.path(), "other", &own, &own).key, ..good.clone() }, "does not go with the key"),
    ] {
        let message = TlsTransport::bind(listen, bad).expect_err("refused").to_string();
        assert!(message.contains(named), "{message}");
    }
    let (_held, taken) = bind(good.clone());
    let message = TlsTransport::bind(taken, good).expect_err("in use").to_string();
    assert!(message.contains("cannot be listened on"), "{message}");
}

/// A pair for the node in its name, as `latchd certs` makes them.
fn files_of_node(dir: &Path, node: u64, authority: &Authority) -> PeerFiles {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, format!("latchd node {node}"));
    let cert = params.signed_by(&key, authority).expect("a certificate");
    let at = |kind: &str| dir.join(format!("of-{node}-{kind}.pem"));
    std::fs::write(at("ca"), authority.pem()).expect("written");
    std::fs::write(at("cert"), cert.pem()).expect("written");
    std::fs::write(at("key"), key.serialize_pem()).expect("written");
    PeerFiles { ca: at("ca"), cert: at("cert"), key: at("key") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificate_is_accepted_for_its_own_node_only() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let own = authority();
    let (transport, address) = bind(files_of_node(dir.path(), 1, &own));
    let url = format!("https://{address}");
    let node = start(1, transport, &BTreeMap::from([(1, url.clone())])).await;
    node.follows(&[1]).await;
    let with = |node| bind(files_of_node(dir.path(), node, &own)).0 as Arc<dyn Transport>;
    Impostor::knock(&with(2), &url, 2, 1).await.expect("its own");
    let error = Impostor::knock(&with(3), &url, 2, 1).await.err().expect("another node's");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "nothing is said to it: {error}");
    node.raft.shutdown().await;
}

/// Silent connections would otherwise take all slots until they time out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_do_not_block_members() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let own = authority();
    let (transport, address) = bind(files(dir.path(), "node1", &own, &own));
    let url = format!("https://{address}");
    let node = start(1, transport, &BTreeMap::from([(1, url.clone())])).await;
    node.follows(&[1]).await;
    let other = bind(files(dir.path(), "node2", &own, &own)).0 as Arc<dyn Transport>;
    let mut late = Vec::new();
    let silent = loop {
        let mut silent = Vec::new();
        for _ in 0..600 {
            silent.push(tokio::net::TcpStream::connect(address).await.expect("connected"));
        }
        let knocks = tokio::time::Instant::now();
        let hello = Impostor::knock(&other, &url, 2, 1);
        tokio::time::timeout(SOON, hello).await.expect("in time").expect("a hello");
        if knocks.elapsed() < Duration::from_secs(4) {
            break silent;
        }
        // A busy machine may hold up one attempt.
        late.push(knocks.elapsed());
        assert!(late.len() < 3, "not at once: {late:?}");
    };
    // And each is closed, whether its place was needed or not.
    for mut stream in silent {
        let ended = tokio::time::timeout(SOON, stream.read(&mut [0])).await.expect("in time");
        assert!(!matches!(ended, Ok(read) if read > 0));
    }
    node.raft.shutdown().await;
}
