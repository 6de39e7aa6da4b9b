//! A log that has lost its end, in a cluster: the node still votes by what it has acknowledged.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use latchd::raft::{Accept, NodeState, RaftNode, RaftOptions};

use super::network::{MemoryNetwork, Node, SOON, address, disk, leader, others, stop, three};

use crate::support::log_file::written;

const ALL: [u64; 3] = [1, 2, 3];
/// Long enough for several elections.
const NOBODY_LEADS_FOR: Duration = Duration::from_secs(4);

fn log_file(dir: &Path, node: u64) -> PathBuf {
    let files = fs::read_dir(dir.join(format!("node-{node}/log"))).expect("a directory");
    let files = files.map(|file| file.expect("a file").path());
    files.filter(|file| file.extension().is_some_and(|suffix| suffix == "wal")).max().expect("a log")
}

fn log_len(dir: &Path, node: u64) -> u64 {
    written(&log_file(dir, node))
}

/// Cuts at the end of a record, as a disk does that has lied about its last flushes.
fn cut_log(dir: &Path, node: u64, len: u64) {
    let file = OpenOptions::new().write(true).open(log_file(dir, node)).expect("the log");
    file.set_len(len).expect("cut");
}

async fn start(network: &MemoryNetwork, dir: &Path, id: u64) -> Node {
    Node::start(network, disk(id, dir), &ALL).await.expect("restarted")
}

async fn stands(raft: &RaftNode, wanted: impl FnMut(&NodeState) -> bool) {
    let mut standing = raft.state();
    let stood = standing.wait_for(wanted);
    tokio::time::timeout(SOON, stood).await.expect("in time").expect("a running node");
}

async fn no_node_leads(nodes: &[&Node]) {
    let leads = async {
        loop {
            for node in nodes {
                assert!(!node.raft.leadership().borrow().is_leader, "node {} leads without what was answered", node.id);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _: Result<(), _> = tokio::time::timeout(NOBODY_LEADS_FOR, leads).await;
}

/// Three nodes with an entry that everybody has, and one that `lagging` never heard of. All are stopped then.
struct Ended {
    network: MemoryNetwork,
    dir: tempfile::TempDir,
    lead: u64,
    lagging: u64,
    follower: u64,
    /// Of each node's log, before the entry that one lacks.
    lens: Vec<(u64, u64)>,
}

impl Ended {
    async fn run_where_one_lacks_last_entry() -> Ended {
        let network = MemoryNetwork::default();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let nodes = three(&network, |id| disk(id, dir.path())).await;
        let lead = leader(&nodes).await;
        let (lagging, follower) = (others(&nodes, &lead)[0].id, others(&nodes, &lead)[1].id);
        let index = lead.propose("all").await;
        for node in &nodes {
            node.applies(index).await;
        }
        network.isolate(lagging, &ALL);
        let lens = ALL.map(|id| (id, log_len(dir.path(), id))).to_vec();
        let index = lead.propose("two").await;
        nodes[follower as usize - 1].applies(index).await;
        stop(&nodes).await;
        network.heal();
        Ended { network, dir, lead: lead.id, lagging, follower, lens }
    }

    fn cut(&self, node: u64) {
        let (_, len) = self.lens[node as usize - 1];
        assert!(log_len(self.dir.path(), node) > len, "nothing to cut");
        cut_log(self.dir.path(), node, len);
    }

    async fn start(&self, node: u64) -> Node {
        start(&self.network, self.dir.path(), node).await
    }

    async fn start_accepting(&self, node: u64) -> Node {
        let accept = Accept { empty: false, lost_end: true };
        let options = RaftOptions { accept, ..disk(node, self.dir.path()) };
        Node::start(&self.network, options, &ALL).await.expect("restarted")
    }
}

#[tokio::test]
async fn node_with_lost_log_end_votes_for_no_candidate_without_it() {
    let ended = Ended::run_where_one_lacks_last_entry().await;
    ended.cut(ended.follower);
    let (cut, lagging) = (ended.start(ended.follower).await, ended.start(ended.lagging).await);
    no_node_leads(&[&cut, &lagging]).await;
    let text = cut.raft.state().borrow().to_string();
    assert!(text.contains("was on disk and is gone") && text.contains("--accept-lost-end"), "{text}");
    let full = ended.start(ended.lead).await;
    let all = [cut.clone(), lagging, full];
    let new = leader(&all).await;
    assert_eq!(new.id, ended.lead, "who has all of it");
    let index = new.propose("three").await;
    for node in &all {
        node.applies(index).await;
        assert_eq!(node.journal.strings(), ["all", "two", "three"], "node {}", node.id);
    }
    stands(&cut.raft, |now| *now == NodeState::Member).await;
    stop(&all).await;
}

/// A second restart does not forget the loss.
#[tokio::test]
async fn lost_log_end_is_remembered_across_restarts() {
    let ended = Ended::run_where_one_lacks_last_entry().await;
    ended.cut(ended.follower);
    ended.start(ended.follower).await.raft.shutdown().await;
    let (cut, lagging) = (ended.start(ended.follower).await, ended.start(ended.lagging).await);
    stands(&cut.raft, |now| matches!(now, NodeState::LostEnd { .. })).await;
    no_node_leads(&[&cut, &lagging]).await;
    stop(&[cut, lagging]).await;
}

#[tokio::test]
async fn cluster_with_lost_log_ends_serves_only_after_operator_accepts() {
    let ended = Ended::run_where_one_lacks_last_entry().await;
    ended.cut(ended.follower);
    ended.cut(ended.lead);
    let mut nodes = Vec::new();
    for id in ALL {
        nodes.push(ended.start(id).await);
    }
    no_node_leads(&nodes.iter().collect::<Vec<_>>()).await;
    for node in [ended.lead, ended.follower] {
        let standing = nodes[node as usize - 1].raft.state().borrow().clone();
        assert!(matches!(standing, NodeState::LostEnd { .. }), "node {node} says {standing:?}");
    }
    stop(&nodes).await;
    let mut nodes = Vec::new();
    for id in ALL {
        nodes.push(ended.start_accepting(id).await);
    }
    let index = leader(&nodes).await.propose("new").await;
    for node in &nodes {
        node.applies(index).await;
        assert_eq!(node.journal.strings(), ["all", "new"], "node {}", node.id);
    }
    stop(&nodes).await;
}

/// The lost entries include those that added the other members.
#[tokio::test]
async fn node_that_lost_membership_entry_does_not_lead_alone() {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let alone = Node::start(&network, disk(1, dir.path()), &[1]).await.expect("a node");
    alone.follows(&[1]).await;
    alone.propose("alone").await;
    let before = log_len(dir.path(), 1);
    let second = Node::start(&network, disk(2, dir.path()), &[1, 2]).await.expect("a node");
    let added = alone.raft.add_learner(2, address(2));
    tokio::time::timeout(SOON, added).await.expect("in time").expect("added");
    alone.raft.promote(2).await.expect("a voter");
    let index = alone.propose("two").await;
    second.applies(index).await;
    stop(&[alone, second]).await;
    cut_log(dir.path(), 1, before);
    let cut = Node::start(&network, disk(1, dir.path()), &[1]).await.expect("restarted");
    no_node_leads(&[&cut]).await;
    assert!(cut.raft.state().borrow().has_lost_end());
    cut.raft.shutdown().await;
    let accept = Accept { empty: false, lost_end: true };
    let options = RaftOptions { accept, ..disk(1, dir.path()) };
    let alone = Node::start(&network, options, &[1]).await.expect("restarted");
    alone.follows(&[1]).await;
    alone.propose("new").await;
    assert_eq!(alone.journal.strings(), ["alone", "new"], "an operator has said so");
    alone.raft.shutdown().await;
}

/// Two votes in one term could elect two leaders.
#[tokio::test]
async fn lost_vote_is_not_given_again() {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let nodes = three(&network, |id| disk(id, dir.path())).await;
    let lead = leader(&nodes).await;
    let index = lead.propose("one").await;
    let voter = others(&nodes, &lead).remove(0);
    let candidate = others(&nodes, &lead).remove(1);
    for node in &nodes {
        node.applies(index).await;
    }
    lead.raft.shutdown().await;
    let before = log_len(dir.path(), voter.id);
    let pair = [voter.clone(), candidate.clone()];
    let new = leader(&pair).await;
    let term = new.raft.leadership().borrow().term;
    stop(&pair).await;
    assert!(log_len(dir.path(), voter.id) > before, "it has voted");
    cut_log(dir.path(), voter.id, before);
    let back = start(&network, dir.path(), voter.id).await;
    assert!(back.raft.leadership().borrow().term >= term, "the vote of term {term} is forgotten");
    back.raft.shutdown().await;
}
