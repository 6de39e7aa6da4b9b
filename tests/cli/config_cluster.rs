//! `[cluster]`: its settings, and conflicts between them.

use super::config_layers::Given;
use latchd::engine::PeerFiles;
use std::path::PathBuf;

const LISTEN: &str = "https://10.0.0.1:9443";
const PEERS: &str = "1=https://10.0.0.1:9443,2=https://10.0.0.2:9443,3=https://10.0.0.3:9443";

/// The flags of a node of three.
fn node(id: &'static str) -> Given {
    files(Given::file(""))
        .flag("--node-id", "cluster.node_id", id)
        .flag("--peer-listen", "cluster.peer_listen", LISTEN)
        .flag("--peers", "cluster.peers", PEERS)
}

fn files(given: Given) -> Given {
    given.flag("--peer-ca", "cluster.peer_ca", "ca.pem").flag("--peer-cert", "cluster.peer_cert", "node1.pem").flag(
        "--peer-key",
        "cluster.peer_key",
        "node1.key",
    )
}

#[test]
fn node_without_peer_listen_runs_alone() {
    let alone = Given::file("").load().expect("valid").cluster;
    assert_eq!((alone.node_id, alone.listen(), alone.advertise()), (1, None, None));
    assert!(alone.peers.is_empty() && alone.tls().is_none());
    let cluster = node("2").load().expect("valid").cluster;
    assert_eq!(cluster.listen(), Some("10.0.0.1:9443".parse().expect("an address")));
    assert_eq!(cluster.advertise().expect("a URL").to_string(), "https://10.0.0.2:9443", "its own entry");
    let [ca, cert, key] = ["ca.pem", "node1.pem", "node1.key"].map(PathBuf::from);
    assert_eq!(cluster.tls(), Some(PeerFiles { ca, cert, key }));
    assert_eq!(cluster.peers.iter().map(|peer| peer.node).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn cluster_settings_from_file_match_flags() {
    let text = "[cluster]\nnode_id = 3\npeer_listen = \"https://[::]:9443\"\npeers = [\"3=https://c.example:9443\"]\n\
         advertise = \"https://c.example:9443\"\npeer_ca = \"a\"\npeer_cert = \"b\"\npeer_key = \"c\"\n\
         heartbeat = \"20ms\"\nelection_min = \"50ms\"\nelection_max = \"90ms\"\n";
    let cluster = Given::file(text).load().expect("valid").cluster;
    assert_eq!(cluster.listen(), Some("[::]:9443".parse().expect("an address")));
    assert_eq!(cluster.advertise().expect("a URL").to_string(), "https://c.example:9443");
    assert_eq!(cluster.election_max.as_millis(), 90);
}

#[test]
fn lone_and_added_nodes_need_no_entry_in_peers() {
    let alone = files(Given::file("")).flag("--peer-listen", "cluster.peer_listen", LISTEN).load().expect("valid");
    assert_eq!(alone.cluster.advertise().expect("a URL").to_string(), LISTEN);
    let fourth = node("4").flag("--advertise", "cluster.advertise", "https://10.0.0.4:9443").load().expect("valid");
    assert_eq!(fourth.cluster.advertise().expect("a URL").to_string(), "https://10.0.0.4:9443");
}

#[test]
fn impossible_cluster_values_are_refused() {
    let url = "expected a URL like https://10.0.0.1:9443 with https and a port";
    let list = "expected a list like 1=https://10.0.0.1:9443,2=https://10.0.0.2:9443";
    for (key, value, accepted) in [
        ("cluster.node_id", "0", "expected a whole number from 1 to 9007199254740991"),
        ("cluster.node_id", "9007199254740992", "expected a whole number from 1 to 9007199254740991"),
        ("cluster.peer_listen", "http://10.0.0.1:9443", url),
        ("cluster.peer_listen", "https://10.0.0.1:0", url),
        ("cluster.advertise", "10.0.0.1:9443", url),
        ("cluster.peers", "https://10.0.0.1:9443", list),
        ("cluster.peers", "0=https://10.0.0.1:9443", list),
        ("cluster.peers", "1=http://10.0.0.1:9443", list),
        ("cluster.peers", "1=https://a:1,1=https://b:1", "expected each id and each URL once, but 1=https://b:1"),
        ("cluster.peers", "1=https://a:1,2=https://a:1", "expected each id and each URL once, but 2=https://a:1"),
    ] {
        let refusal = Given::file("").flag("--flag", key, value).refusal();
        assert!(refusal.contains(key) && refusal.contains(accepted), "{key} = {value}: {refusal}");
    }
}

#[test]
fn conflicting_cluster_settings_are_refused_with_advice() {
    let listening = || Given::file("").flag("--peer-listen", "cluster.peer_listen", LISTEN);
    let times = |text: &str| Given::file(&format!("[cluster]\n{text}\n"));
    for (given, message) in [
        (
            Given::file("").flag("--peers", "cluster.peers", PEERS),
            "cluster.peers is set, but this node listens for no peers: set cluster.peer_listen (--peer-listen) too",
        ),
        (
            Given::file("").flag("--advertise", "cluster.advertise", LISTEN),
            "cluster.advertise is set, but this node listens for no peers",
        ),
        (
            listening(),
            "set cluster.peer_ca (--peer-ca), cluster.peer_cert (--peer-cert), cluster.peer_key (--peer-key)",
        ),
        (
            listening().flag("--peer-ca", "cluster.peer_ca", "c").flag("--peer-cert", "cluster.peer_cert", "c"),
            "set cluster.peer_key (--peer-key) too; `latchd certs init` makes a set",
        ),
        (node("4"), "cluster.peers names the nodes 1, 2, 3, but not 4, which is this one: correct cluster.node_id"),
        (
            node("1").flag("--advertise", "cluster.advertise", "https://10.0.0.9:9443"),
            "cluster.advertise = https://10.0.0.9:9443 differs from this node's entry https://10.0.0.1:9443",
        ),
        (
            files(Given::file("")).flag("--peer-listen", "cluster.peer_listen", "https://0.0.0.0:9443"),
            "peers cannot reach this node at https://0.0.0.0:9443: set cluster.advertise (--advertise)",
        ),
        (
            node("1").flag("--peer-listen", "cluster.peer_listen", "https://node-1:9443"),
            "cluster.peer_listen = https://node-1:9443 names the host node-1: listen on an address",
        ),
        (times("heartbeat = \"126ms\""), "cluster.election_min must be at least twice cluster.heartbeat"),
        (times("election_max = \"250ms\""), "cluster.election_max must be longer than cluster.election_min"),
        (times("node_down_after = \"400ms\""), "cluster.node_down_after must be longer than cluster.election_max"),
        (times("no_quorum_after = \"300ms\""), "cluster.no_quorum_after must be longer than cluster.election_max"),
    ] {
        let refusal = given.refusal();
        assert!(refusal.contains(message), "{refusal}\nbut not\n{message}");
    }
}
