//! Bootstrap: nodes that are started with the same list become one cluster, and never two.

use std::time::Duration;

use latchd::raft::{MemberError, MembershipError, NodeStartError, NodeState};

use super::network::{MemoryNetwork, Node, SOON, address, disk, leader, memory, others, stop, three};

async fn stands(node: &Node, expected: NodeState) {
    let mut standing = node.raft.state();
    let reached = standing.wait_for(|now| *now == expected);
    tokio::time::timeout(SOON, reached).await.unwrap_or_else(|_| panic!("{expected:?} in time")).expect("a node");
}

#[tokio::test]
async fn cluster_bootstraps_only_when_all_nodes_answered() {
    let network = MemoryNetwork::default();
    let mut nodes = Vec::new();
    for id in [3, 1] {
        nodes.push(Node::start(&network, memory(id), &[1, 2, 3]).await.expect("a node"));
    }
    // Two of three are a majority, and must not use it: the third may be the one with the data.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for node in &nodes {
        assert_eq!(*node.raft.state().borrow(), NodeState::Bootstrapping { awaits: vec![2] });
        assert_eq!(node.raft.leadership().borrow().leader, None);
    }
    nodes.push(Node::start(&network, memory(2), &[1, 2, 3]).await.expect("a node"));
    let lead = leader(&nodes).await;
    let index = lead.propose("a").await;
    for node in &nodes {
        node.applies(index).await;
        assert_eq!(node.journal.strings(), ["a"]);
        stands(node, NodeState::Member).await;
        let members = node.raft.members();
        assert_eq!(members.iter().map(|member| member.node).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(members.iter().all(|member| member.voter && member.address == address(member.node)), "{members:?}");
        assert!(!node.raft.is_alone());
    }
    stop(&nodes).await;
}

#[tokio::test]
async fn nodes_with_different_peer_lists_do_not_bootstrap() {
    let network = MemoryNetwork::default();
    let one = Node::start(&network, memory(1), &[1, 2]).await.expect("a node");
    let two = Node::start(&network, memory(2), &[1, 2, 3]).await.expect("a node");
    let three = Node::start(&network, memory(3), &[1, 2, 3]).await.expect("a node");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for node in [&one, &two, &three] {
        assert!(matches!(&*node.raft.state().borrow(), NodeState::Bootstrapping { awaits } if !awaits.is_empty()));
        assert_eq!(node.raft.leadership().borrow().leader, None);
    }
    stop(&[one, two, three]).await;
}

#[tokio::test]
async fn node_that_finds_cluster_waits_to_join() {
    let network = MemoryNetwork::default();
    let one = Node::start(&network, memory(1), &[]).await.expect("a cluster of one");
    one.follows(&[1]).await;
    assert!(one.raft.is_alone());
    let index = one.propose("before").await;
    let two = Node::start(&network, memory(2), &[1, 2]).await.expect("a node");
    stands(&two, NodeState::WaitingToJoin { node: 2 }).await;
    one.raft.add_learner(2, address(2)).await.expect("added");
    stands(&two, NodeState::Member).await;
    two.applies(index).await;
    one.raft.promote(2).await.expect("promoted");
    let index = one.propose("after").await;
    two.applies(index).await;
    assert_eq!(two.journal.strings(), ["before", "after"]);
    stop(&[one, two]).await;
}

/// The node's disk was lost: what it acknowledged is gone, so its vote could elect a leader without entries that a majority has.
#[tokio::test]
async fn wiped_node_is_refused_until_removed() {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let nodes = three(&network, |id| disk(id, dir.path())).await;
    let lead = leader(&nodes).await;
    lead.propose("a").await;
    let gone = others(&nodes, &lead).remove(0);
    let kept = others(&nodes, &gone);
    for node in &kept {
        node.echo.0.lock().expect("no panic").insert(gone.id, gone.raft.store_id());
    }
    gone.raft.shutdown().await;
    std::fs::remove_dir_all(dir.path().join(format!("node-{}", gone.id))).expect("wiped");
    let wiped = Node::start(&network, disk(gone.id, dir.path()), &[1, 2, 3]).await.expect("a node");
    stands(&wiped, NodeState::Wiped { node: wiped.id }).await;
    // It would be the second vote of three.
    let follower = others(&kept, &lead).remove(0);
    follower.raft.shutdown().await;
    let proposed = tokio::time::timeout(Duration::from_secs(1), lead.raft.propose("b".into())).await;
    assert!(!matches!(proposed, Ok(Ok(_))), "{proposed:?}");
    assert!(wiped.journal.strings().is_empty());
    let follower =
        Node::start_knowing(&network, disk(follower.id, dir.path()), &[1, 2, 3], follower.echo.clone()).await;
    let kept = [lead, follower.expect("a restarted node")];
    let lead = leader(&kept).await;
    lead.raft.remove(wiped.id).await.expect("removed");
    for node in &kept {
        node.echo.0.lock().expect("no panic").remove(&wiped.id);
    }
    stands(&wiped, NodeState::WaitingToJoin { node: wiped.id }).await;
    lead.raft.add_learner(wiped.id, address(wiped.id)).await.expect("added again");
    lead.raft.promote(wiped.id).await.expect("promoted");
    let index = lead.propose("c").await;
    wiped.applies(index).await;
    assert_eq!(wiped.journal.strings().last().expect("an entry"), "c");
    stop(&kept).await;
    wiped.raft.shutdown().await;
}

/// The remaining node knows no store ids: it was away when the others presented theirs. Together with the wiped node it would be
/// a majority that has lost what the stopped leader answered.
#[tokio::test]
async fn wiped_node_grants_no_vote() {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let nodes = three(&network, |id| disk(id, dir.path())).await;
    let lead = leader(&nodes).await;
    let index = lead.propose("before").await;
    let [left, gone] = <[Node; 2]>::try_from(others(&nodes, &lead)).unwrap_or_else(|_| panic!("two others"));
    left.applies(index).await;
    left.raft.shutdown().await;
    lead.propose("the one that is left has not seen this").await;
    lead.raft.shutdown().await;
    gone.raft.shutdown().await;
    std::fs::remove_dir_all(dir.path().join(format!("node-{}", gone.id))).expect("wiped");
    let left = Node::start(&network, disk(left.id, dir.path()), &[1, 2, 3]).await.expect("a restarted node");
    let wiped = Node::start(&network, disk(gone.id, dir.path()), &[1, 2, 3]).await.expect("a node");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!left.raft.leadership().borrow().is_leader && !wiped.raft.leadership().borrow().is_leader);
    assert!(wiped.journal.strings().is_empty());
    let lead = Node::start(&network, disk(lead.id, dir.path()), &[1, 2, 3]).await.expect("a restarted node");
    let nodes = [lead, left, wiped];
    let index = leader(&nodes).await.propose("after").await;
    for node in &nodes {
        node.applies(index).await;
        assert_eq!(node.journal.strings(), ["before", "the one that is left has not seen this", "after"]);
    }
    stop(&nodes).await;
}

#[tokio::test]
async fn single_node_grows_to_five_and_shrinks() {
    let network = MemoryNetwork::default();
    let one = Node::start(&network, memory(1), &[]).await.expect("a cluster of one");
    one.follows(&[1]).await;
    one.propose("a").await;
    let mut nodes = vec![one.clone()];
    for id in 2..=5 {
        let node = Node::start(&network, memory(id), &[1, id]).await.expect("a node");
        one.raft.add_learner(id, address(id)).await.expect("added");
        one.raft.promote(id).await.expect("promoted");
        nodes.push(node);
    }
    let index = one.propose("b").await;
    for node in &nodes {
        node.applies(index).await;
        assert_eq!(node.journal.strings(), ["a", "b"]);
    }
    for id in [5, 4] {
        one.raft.remove(id).await.expect("removed");
    }
    let members = one.raft.members();
    assert!(members.len() == 3 && members.iter().all(|member| member.voter), "{members:?}");
    // They notice that nobody talks to them any more, and disturb nobody.
    let term = one.raft.leadership().borrow().term;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    one.propose("c").await;
    assert_eq!(one.raft.leadership().borrow().term, term);
    stop(&nodes).await;
}

#[tokio::test]
async fn member_or_former_member_that_starts_alone_is_told_so() {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let nodes = three(&network, |id| disk(id, dir.path())).await;
    let lead = leader(&nodes).await;
    lead.raft.remove(lead.id).await.expect("removed");
    stop(&nodes).await;
    let left: Vec<u64> = others(&nodes, &lead).iter().map(|node| node.id).collect();
    let alone = async |id| super::support::start(disk(id, dir.path())).await.err().expect("a refusal");
    let refused = alone(left[0]).await;
    assert!(matches!(refused, NodeStartError::PeersNeeded { .. }), "{refused}");
    let refused = alone(lead.id).await;
    assert!(refused.to_string().contains("latchd members add"), "{refused}");
    assert!(matches!(&refused, NodeStartError::NotMember { members, .. } if *members == left), "{refused}");
}

#[tokio::test]
async fn impossible_membership_changes_are_refused() {
    let network = MemoryNetwork::default();
    let nodes = three(&network, memory).await;
    let lead = leader(&nodes).await;
    let other = others(&nodes, &lead).remove(0);
    let refused = lead.raft.add_learner(other.id, address(9)).await.expect_err("a member");
    assert_eq!(refused, MemberError::AlreadyMember { node: other.id, address: address(other.id) }.into());
    assert_eq!(lead.raft.promote(9).await, Err(MemberError::Unknown(9).into()));
    assert_eq!(lead.raft.remove(9).await, Err(MemberError::Unknown(9).into()));
    assert_eq!(lead.raft.promote(other.id).await, Err(MemberError::AlreadyVoter(other.id).into()));
    assert_eq!(other.raft.remove(lead.id).await, Err(MembershipError::NotLeader { leader: Some(lead.id) }));
    let nobody = lead.raft.add_learner(9, address(9)).await.expect_err("nobody there");
    assert!(matches!(nobody, MembershipError::Refused(MemberError::Unreachable { node: 9, .. })), "{nobody}");
    let stranger = Node::start(&network, memory(7), &[]).await.expect("another cluster");
    stranger.follows(&[7]).await;
    let foreign = lead.raft.add_learner(7, address(7)).await.expect_err("a foreign log");
    assert_eq!(foreign, MembershipError::NotEmpty { node: 7, address: address(7) });
    let third = others(&nodes, &lead).remove(1);
    third.raft.shutdown().await;
    lead.propose("the connection is seen to be lost").await;
    let lost = async {
        while lead.raft.remove(other.id).await != Err(MemberError::WouldLoseQuorum(other.id).into()) {
            assert_eq!(lead.raft.members().len(), 3);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, lost).await.expect("refused once the loss is seen");
    stop(&[lead, other, stranger]).await;
}

#[tokio::test]
async fn members_answer_each_others_calls() {
    let network = MemoryNetwork::default();
    let nodes = three(&network, memory).await;
    let answer = nodes[0].raft.call(3, "who asks?".into()).await.expect("an answer");
    assert_eq!(answer, "1: who asks?");
    nodes[2].raft.shutdown().await;
    nodes[0].raft.call(3, "gone?".into()).await.expect_err("nobody there");
    nodes[0].raft.call(9, "who?".into()).await.expect_err("no member");
    stop(&nodes[..2]).await;
}
