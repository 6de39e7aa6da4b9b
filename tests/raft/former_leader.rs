//! A leader that was restarted, with all of its log or not, leads again only after an election in a later term.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use latchd::raft::RaftNode;

use super::network::{MemoryNetwork, Node, disk, leader, others, stop, three};
use super::support::{lead, on_disk, start};

/// Enough to cut the record of the last entry and the records behind it.
const CUT_BYTES: u64 = 100;

fn node_dir(dir: &Path, node: u64) -> PathBuf {
    dir.join(format!("node-{node}"))
}

/// Cuts the last flushed bytes off a stopped node's log.
fn cut_log(node_dir: &Path) {
    let files = fs::read_dir(node_dir.join("log")).expect("a directory").map(|file| file.expect("a file").path());
    let last = files.filter(|file| file.extension().is_some_and(|suffix| suffix == "wal")).max().expect("a log");
    let file = OpenOptions::new().write(true).open(&last).expect("the log");
    let length = file.metadata().expect("its length").len();
    file.set_len(length - CUT_BYTES).expect("cut");
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("its kind").is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("copied")),
        }
    }
}

fn term(raft: &RaftNode) -> u64 {
    raft.leadership().borrow().term
}

async fn agree(nodes: &[Node], index: u64, expected: &[&str]) {
    for node in nodes {
        node.applies(index).await;
        assert_eq!(node.journal.strings(), expected, "node {}", node.id);
    }
}

/// Stops the leader of three nodes after its second entry, runs `spoil` on its directory, and starts it again before the others
/// hold an election. All three must agree on what follows.
async fn comes_back(spoil: impl FnOnce(&Path, &Path)) {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let nodes = three(&network, |id| disk(id, dir.path())).await;
    let old = leader(&nodes).await;
    let (own, copy) = (node_dir(dir.path(), old.id), dir.path().join("copy"));
    let index = old.propose("a").await;
    agree(&nodes, index, &["a"]).await;
    copy_dir(&own, &copy);
    let index = old.propose("b").await;
    agree(&nodes, index, &["a", "b"]).await;
    let old_term = term(&old.raft);
    old.raft.shutdown().await;
    spoil(&own, &copy);
    let back = Node::start(&network, disk(old.id, dir.path()), &[1, 2, 3]).await.expect("restarted");
    let rest = others(&nodes, &old);
    let all = [back, rest[0].clone(), rest[1].clone()];
    let new = leader(&all).await;
    assert!(term(&new.raft) > old_term, "node {} leads in term {}, once {old_term}", new.id, term(&new.raft));
    let index = new.propose("c").await;
    agree(&all, index, &["a", "b", "c"]).await;
    stop(&all).await;
}

#[tokio::test]
async fn restarted_leader_needs_new_election() {
    comes_back(|_, _| {}).await;
}

#[tokio::test]
async fn former_leader_with_lost_log_end_is_repaired() {
    comes_back(|own, _| cut_log(own)).await;
}

#[tokio::test]
async fn former_leader_on_old_copy_is_repaired() {
    comes_back(|own, copy| {
        fs::remove_dir_all(own).expect("removed");
        copy_dir(copy, own);
    })
    .await;
}

#[tokio::test]
async fn lone_node_leads_at_once_in_later_term() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (node, _) = start(on_disk(dir.path())).await.expect("a node");
    node.propose("a".into()).await.expect("applied");
    let before = term(&node);
    node.shutdown().await;
    let (node, journal) = start(on_disk(dir.path())).await.expect("restarted");
    lead(&node).await;
    assert!(term(&node) > before);
    node.propose("b".into()).await.expect("applied");
    assert_eq!(journal.strings(), ["a", "b"]);
    node.shutdown().await;
}

/// The leader keeps running, and knows that the follower had more entries.
#[tokio::test]
async fn follower_with_lost_log_end_is_repaired() {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let nodes = three(&network, |id| disk(id, dir.path())).await;
    let lead = leader(&nodes).await;
    for text in ["a", "b", "c"] {
        let index = lead.propose(text).await;
        nodes[0].applies(index).await;
    }
    let follower = others(&nodes, &lead).remove(0);
    follower.applies(lead.raft.progress().applied_index).await;
    follower.raft.shutdown().await;
    cut_log(&node_dir(dir.path(), follower.id));
    let back = Node::start(&network, disk(follower.id, dir.path()), &[1, 2, 3]).await.expect("restarted");
    let rest = others(&nodes, &follower);
    let index = leader(&rest).await.propose("d").await;
    agree(&[back.clone(), rest[0].clone(), rest[1].clone()], index, &["a", "b", "c", "d"]).await;
    assert_eq!(leader(&rest).await.id, lead.id, "the leader leads on");
    stop(&rest).await;
    back.raft.shutdown().await;
}
