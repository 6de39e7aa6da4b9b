//! Corruption in one of three nodes while the others have a quorum: the node reports it and is replaced, or the leader
//! repairs it. It never serves a different state.

use std::fs;
use std::path::{Path, PathBuf};

use latchd::raft::NodeStartError;

use super::network::{MemoryNetwork, Node, SOON, address, disk, leader, others, stop, three};
use crate::proof::random::Random;

const ALL: [u64; 3] = [1, 2, 3];
const ROUNDS: usize = 24;
const ROUNDS_MAX: usize = 10 * ROUNDS;
const PAGE: usize = 4096;

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip,
    Cut,
    ZeroPage,
    ZeroTail,
    Removed,
}

const DAMAGES: [Damage; 5] = [Damage::Flip, Damage::Cut, Damage::ZeroPage, Damage::ZeroTail, Damage::Removed];

/// How one file of the directory is damaged.
fn damage(file: &Path, how: Damage, random: &mut Random) {
    let mut bytes = fs::read(file).expect("the file");
    let len = bytes.len();
    let at = random.below(len.max(1));
    match how {
        Damage::Flip => bytes[at] ^= 1 << random.below(8),
        Damage::Cut => bytes.truncate(at),
        Damage::ZeroPage => {
            let page = at / PAGE * PAGE;
            bytes[page..(page + PAGE).min(len)].fill(0);
        }
        Damage::ZeroTail => bytes[at..].fill(0),
        Damage::Removed => return fs::remove_file(file).expect("removed"),
    }
    fs::write(file, bytes).expect("written");
}

/// The log, the snapshots and the files beside them, without the store id, which has a test of its own.
fn files(dir: &Path) -> Vec<PathBuf> {
    let inside = ["log", "snapshot"].map(|folder| fs::read_dir(dir.join(folder)).expect("a folder"));
    let inside = inside.into_iter().flatten().map(|file| file.expect("a file").path());
    let beside = ["format", "position"].map(|name| dir.join(name));
    let mut files: Vec<PathBuf> =
        inside.chain(beside).filter(|file| fs::metadata(file).is_ok_and(|file| file.len() > 0)).collect();
    files.sort();
    files
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        match entry.file_type().expect("its kind").is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("copied")),
        }
    }
}

async fn agree(nodes: &[Node], lead: &Node, text: &str) {
    let index = lead.propose(text).await;
    for node in nodes {
        node.applies(index).await;
        assert_eq!(node.journal.entries(), lead.journal.entries(), "node {}", node.id);
    }
}

/// The advice in an error of node 3.
fn is_advice(text: &str) -> bool {
    let replaced = text.contains("members remove 3") && text.contains("members add 3 URL");
    replaced || text.contains("has format")
}

#[tokio::test]
async fn damaged_node_refuses_start_or_ends_with_same_state() {
    let mut random = Random::seeded("corruption of one of three");
    let network = MemoryNetwork::default();
    let home = tempfile::tempdir().expect("a temporary directory");
    let small = |id| latchd::raft::RaftOptions { snapshot_log_bytes: 2000, ..disk(id, home.path()) };
    let mut nodes = three(&network, small).await;
    let (dir, good) = (home.path().join("node-3"), home.path().join("good"));
    let mut lead = leader(&nodes).await;
    for number in 0..60 {
        lead.propose(&format!("{number:0100}")).await;
    }
    let (mut refused, mut repaired) = (0, 0);
    for round in 0..ROUNDS_MAX {
        // One damage in eight is repaired, so that few rounds may not have met any.
        if round >= ROUNDS && refused > 0 && repaired > 0 {
            break;
        }
        agree(&nodes, &lead, &format!("round {round}")).await;
        nodes[2].raft.shutdown().await;
        lead = leader(&nodes[..2]).await;
        agree(&nodes[..2], &lead, "without it").await;
        drop(fs::remove_dir_all(&good));
        copy_dir(&dir, &good);
        let files = files(&dir);
        let (file, how) = (&files[random.below(files.len())], DAMAGES[random.below(DAMAGES.len())]);
        damage(file, how, &mut random);
        match Node::start(&network, small(3), &ALL).await {
            Ok(node) => {
                repaired += 1;
                nodes[2] = node;
            }
            Err(error) => {
                refused += 1;
                assert!(is_advice(&error.to_string()), "round {round}, {how:?} of {}: {error}", file.display());
                fs::remove_dir_all(&dir).expect("removed");
                copy_dir(&good, &dir);
                nodes[2] = Node::start(&network, small(3), &ALL).await.expect("what was not damaged");
            }
        }
    }
    println!("{refused} refused, {repaired} repaired");
    assert!(refused > 0 && repaired > 0, "{refused} refused, {repaired} repaired: the damages are of one kind");
    agree(&nodes, &lead, "the end").await;
    stop(&nodes).await;
}

/// Follows the steps in `docs/disks.md`.
#[tokio::test]
async fn damaged_node_is_replaced_by_member_commands() {
    let network = MemoryNetwork::default();
    let home = tempfile::tempdir().expect("a temporary directory");
    let nodes = three(&network, |id| disk(id, home.path())).await;
    let lead = leader(&nodes).await;
    agree(&nodes, &lead, "a").await;
    let broken = others(&nodes, &lead).remove(0);
    let rest = others(&nodes, &broken);
    broken.raft.shutdown().await;
    let dir = home.path().join(format!("node-{}", broken.id));
    let log = files(&dir).into_iter().find(|file| file.extension().is_some_and(|suffix| suffix == "wal"));
    let log = log.expect("a log");
    let mut bytes = fs::read(&log).expect("read");
    bytes[60] ^= 1;
    fs::write(&log, bytes).expect("written");
    let refused = Node::start(&network, disk(broken.id, home.path()), &ALL).await.err().expect("a refusal");
    assert!(matches!(refused, NodeStartError::DamagedInCluster { .. }), "{refused}");
    agree(&rest, &lead, "b").await;
    lead.raft.remove(broken.id).await.expect("removed");
    fs::remove_dir_all(&dir).expect("emptied");
    let empty = Node::start(&network, disk(broken.id, home.path()), &ALL).await.expect("it waits to be added");
    let added = lead.raft.add_learner(broken.id, address(broken.id));
    tokio::time::timeout(SOON, added).await.expect("in time").expect("added");
    lead.raft.promote(broken.id).await.expect("a voter");
    let all = [rest[0].clone(), rest[1].clone(), empty];
    agree(&all, &lead, "c").await;
    stop(&all).await;
}
