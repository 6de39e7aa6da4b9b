//! When a leader stops, is isolated or transfers its leadership, another one follows, and nothing that was applied is lost.

use std::time::Duration;

use latchd::raft::{ProposeError, RaftOptions, ReadError, TransferError};

use super::network::{MemoryNetwork, Node, SOON, disk, leader, memory, others, stop, three};

async fn same_everywhere(nodes: &[Node], index: u64, expected: &[&str]) {
    for node in nodes {
        node.applies(index).await;
        assert_eq!(node.journal.strings(), expected, "node {}", node.id);
    }
}

#[tokio::test]
async fn new_leader_is_elected_when_leader_stops() {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let nodes = three(&network, |id| disk(id, dir.path())).await;
    let first = leader(&nodes).await;
    first.propose("a").await;
    first.raft.shutdown().await;
    let rest = others(&nodes, &first);
    let second = leader(&rest).await;
    assert!(second.raft.leadership().borrow().term > 1);
    let index = second.propose("b").await;
    same_everywhere(&rest, index, &["a", "b"]).await;
    let back = Node::start(&network, disk(first.id, dir.path()), &[1, 2, 3]).await.expect("restarted");
    let index = second.propose("c").await;
    same_everywhere(&[back.clone(), rest[0].clone(), rest[1].clone()], index, &["a", "b", "c"]).await;
    assert_eq!(back.raft.leadership().borrow().leader, Some(second.id), "it disturbs nobody");
    stop(&rest).await;
    back.raft.shutdown().await;
}

/// Also restarts all three nodes at once, while the old leader has a longer log than the others.
#[tokio::test]
async fn uncommitted_entries_of_isolated_leader_are_truncated_on_disk() {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let nodes = three(&network, |id| disk(id, dir.path())).await;
    let old = leader(&nodes).await;
    let index = old.propose("a").await;
    same_everywhere(&nodes, index, &["a"]).await;
    network.isolate(old.id, &[1, 2, 3]);
    let lost = tokio::spawn({
        let raft = old.raft.clone();
        async move { raft.propose("lost".into()).await }
    });
    let rest = others(&nodes, &old);
    let new = leader(&rest).await;
    for text in ["b", "c", "d"] {
        new.propose(text).await;
    }
    assert_eq!(old.raft.read_index().await, Err(ReadError::NoQuorum));
    assert!(old.raft.quorum_age().is_some_and(|age| age > Duration::from_millis(500)), "{:?}", old.raft.quorum_age());
    network.heal();
    let outcome = tokio::time::timeout(SOON, lost).await.expect("in time").expect("no panic");
    assert!(matches!(outcome, Err(ProposeError::OutcomeUnknown)), "{outcome:?}");
    let index = leader(&nodes).await.propose("e").await;
    same_everywhere(&nodes, index, &["a", "b", "c", "d", "e"]).await;
    stop(&nodes).await;
    let mut nodes = Vec::new();
    for id in [1, 2, 3] {
        nodes.push(Node::start(&network, disk(id, dir.path()), &[1, 2, 3]).await.expect("restarted"));
    }
    let index = leader(&nodes).await.propose("f").await;
    same_everywhere(&nodes, index, &["a", "b", "c", "d", "e", "f"]).await;
    stop(&nodes).await;
}

/// Without a pre-vote it would come back with a higher term and unseat the leader.
#[tokio::test]
async fn isolated_follower_returns_without_unseating_leader() {
    let network = MemoryNetwork::default();
    let nodes = three(&network, memory).await;
    let lead = leader(&nodes).await;
    let term = lead.raft.leadership().borrow().term;
    let follower = others(&nodes, &lead).remove(0);
    network.isolate(follower.id, &[1, 2, 3]);
    let index = lead.propose("while it is away").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    network.heal();
    follower.applies(index).await;
    for _ in 0..20 {
        lead.propose("goes on").await;
    }
    let now = *lead.raft.leadership().borrow();
    assert_eq!((now.leader, now.term), (Some(lead.id), term));
    stop(&nodes).await;
}

#[tokio::test]
async fn linearizable_read_needs_quorum() {
    let network = MemoryNetwork::default();
    let nodes = three(&network, memory).await;
    let lead = leader(&nodes).await;
    let written = lead.propose("a").await;
    assert!(lead.raft.read_index().await.expect("a quorum") >= written);
    assert!(lead.raft.quorum_age().expect("it leads") < Duration::from_secs(5));
    let follower = others(&nodes, &lead).remove(0);
    assert_eq!(follower.raft.read_index().await, Err(ReadError::NotLeader { leader: Some(lead.id) }));
    assert_eq!(follower.raft.quorum_age(), None);
    let index = lead.raft.read_index().await.expect("a quorum");
    follower.applies(index).await;
    assert_eq!(follower.journal.strings(), ["a"]);
    stop(&nodes).await;
}

/// The time without a leader is far shorter than an election takes here.
#[tokio::test]
async fn leadership_transfer_leaves_no_gap() {
    let network = MemoryNetwork::default();
    let slow =
        |id| RaftOptions { election_min: Duration::from_secs(4), election_max: Duration::from_secs(5), ..memory(id) };
    let nodes = three(&network, slow).await;
    let mut lead = leader(&nodes).await;
    for round in 0..2 {
        // A leader that was elected only just now holds on to that for a moment.
        tokio::time::sleep(Duration::from_millis(3500)).await;
        lead.propose(&format!("{round}")).await;
        let handed = tokio::time::timeout(Duration::from_secs(2), lead.raft.transfer_leadership()).await;
        handed.expect("at once").expect("handed over");
        let next = leader(&nodes).await;
        assert_ne!(next.id, lead.id);
        assert_eq!(lead.raft.transfer_leadership().await, Err(TransferError::NotLeader));
        lead = next;
    }
    let index = lead.propose("end").await;
    same_everywhere(&nodes, index, &["0", "1", "end"]).await;
    stop(&nodes).await;
}

#[tokio::test]
async fn leadership_transfer_without_candidate_is_refused() {
    let network = MemoryNetwork::default();
    let alone = Node::start(&network, memory(1), &[]).await.expect("a cluster of one");
    alone.follows(&[1]).await;
    assert_eq!(alone.raft.transfer_leadership().await, Err(TransferError::NoCandidate));
    alone.propose("it goes on").await;
    alone.raft.shutdown().await;
}
