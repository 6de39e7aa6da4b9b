//! The certificates of the nodes are replaced under a running cluster, and then the authority.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::binary::latchd;
use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{Lock, Speaker};
use super::wire::{Ask, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

fn certs(action: &str, dir: &Path, more: &[&str]) {
    let mut command = std::process::Command::new(latchd());
    let ended = command.args(["certs", action, "--dir"]).arg(dir).args(more).output().expect("it starts");
    assert!(ended.status.success(), "{action}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Each node reads the files of `latchd certs` where they are made.
fn use_certificates_of(fleet: &mut Fleet, dir: &Path) {
    for id in fleet.ids() {
        let paths: [(&str, PathBuf); 3] = [
            ("--peer-ca", dir.join("ca.pem")),
            ("--peer-cert", dir.join(format!("node{id}.pem"))),
            ("--peer-key", dir.join(format!("node{id}.key"))),
        ];
        let arguments = &mut fleet.node(id).arguments;
        for (flag, path) in paths {
            let at = arguments.iter().position(|argument| argument == flag).expect("it is given");
            arguments[at + 1] = path.display().to_string();
        }
    }
}

/// How often a node has said that it took new files.
fn renewals(fleet: &mut Fleet, id: u64) -> usize {
    fleet.node(id).stderr().matches("the certificate for other nodes was renewed").count()
}

/// Does something to the files, and waits until every node has noticed.
fn noticed(fleet: &mut Fleet, change: impl FnOnce()) {
    let before: Vec<(u64, usize)> = fleet.ids().into_iter().map(|id| (id, renewals(fleet, id))).collect();
    change();
    let deadline = Instant::now() + PATIENCE;
    for (id, before) in before {
        while renewals(fleet, id) == before {
            assert!(Instant::now() < deadline, "node {id} has not noticed:\n{}", fleet.told());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A node whose connections are all new: it was killed and started again.
fn comes_back(fleet: &mut Fleet, id: u64) {
    fleet.node(id).kill();
    fleet.start_node(id);
    fleet.wait_until_ready();
}

fn lock_through_each_node(fleet: &Fleet, name: &str) {
    for id in fleet.ids() {
        let mut speaker = Speaker::open(fleet.address(id));
        let held = speaker.take(Lock::named(name).leased(60.0));
        speaker.give_back(name, &held.key);
    }
}

#[test]
fn peer_certificates_and_authority_rotate_without_restart() {
    let _turn = turn();
    let mut fleet = Fleet::prepare(SIZE, "[tls]\nreload_interval = \"50ms\"\n");
    let folder = tempfile::tempdir().expect("a directory");
    let dir = folder.path().join("peers");
    let nodes: Vec<String> = fleet.ids().iter().map(|id| format!("{id}={}", fleet.network.address(*id))).collect();
    certs("init", &dir, &["--nodes", &nodes.join(",")]);
    use_certificates_of(&mut fleet, &dir);
    fleet.launch();
    // The last one is never started again: it has to take every change as it runs.
    let (first, second) = (fleet.ids()[0], fleet.ids()[1]);
    lock_through_each_node(&fleet, "before");

    noticed(&mut fleet, || certs("renew", &dir, &[]));
    comes_back(&mut fleet, first);
    lock_through_each_node(&fleet, "renewed");

    noticed(&mut fleet, || certs("rotate", &dir, &[]));
    comes_back(&mut fleet, second);
    noticed(&mut fleet, || certs("renew", &dir, &[]));
    comes_back(&mut fleet, first);
    noticed(&mut fleet, || certs("retire", &dir, &[]));
    for id in [first, second] {
        comes_back(&mut fleet, id);
        lock_through_each_node(&fleet, "rotated");
    }
    for id in fleet.ids() {
        let answer = Wire::new(fleet.address(id)).send(&Ask::get("/metrics"), PATIENCE).expect("an answer");
        let metrics = answer.text();
        let shown = |key: &str| metrics.matches(&format!("expiry_timestamp_seconds{{certificate=\"{key}\"")).count();
        assert_eq!(["tls.cert", "cluster.peer_cert", "cluster.peer_ca"].map(shown), [1; 3], "{metrics}");
    }
}
