//! How nodes with empty stores become a cluster, each started with the same list, in any order.
//!
//! A cluster may begin only once: a node that forms another one because it did not see the first would give locks a
//! second time. So nothing is formed before *every* listed node has answered that it is empty too and has the same
//! list; then the one with the lowest id begins, and the others are found by it.

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::BasicNode;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::raft::membership::node_state::NodeState;
use crate::raft::peers::connections::Peers;
use crate::raft::peers::hello::{DialError, LocalNode};
use crate::raft::peers::message::HelloRefusal;
use crate::raft::types::NodeId;

/// Between two rounds of asking.
const AGAIN: Duration = Duration::from_millis(200);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The others have begun, and this node hears of it as a member within moments, unless it is none.
const ADDED_BY_THEN: u32 = 15;

/// What another listed node has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Empty,
    HasCluster,
    KnowsOtherStore,
    /// It is empty, and was started with this other list.
    OtherList(Vec<NodeId>),
    Nothing,
}

/// Runs until this node belongs to a cluster.
pub async fn form(peers: Peers, initial: BTreeMap<NodeId, String>, standing: watch::Sender<NodeState>) {
    let local = peers.local.clone();
    let others: Vec<_> = initial.iter().filter(|(node, _)| **node != local.node_id).collect();
    let mut told = Told::default();
    told.standing(&standing.borrow());
    while local.is_empty() {
        let mut asked = JoinSet::new();
        for (node, address) in others.clone() {
            let (peers, node, address) = (peers.clone(), *node, address.clone());
            asked.spawn(async move { (node, ask(peers, node, address).await) });
        }
        let found: BTreeMap<NodeId, Found> = asked.join_all().await.into_iter().collect();
        told.lists(&local, &found);
        let before = standing.borrow().clone();
        let now = judge(local.node_id, &found, &before);
        told.standing(&now);
        standing.send_if_modified(|standing| std::mem::replace(standing, now.clone()) != now);
        let begins =
            now == NodeState::Bootstrapping { awaits: Vec::new() } && initial.keys().next() == Some(&local.node_id);
        if begins && initialize(&local, &initial).await {
            break;
        }
        tokio::time::sleep(AGAIN).await;
    }
    standing.send_replace(NodeState::Member);
    tracing::info!(node = local.node_id, "node {} belongs to a cluster", local.node_id);
}

fn judge(node: NodeId, found: &BTreeMap<NodeId, Found>, before: &NodeState) -> NodeState {
    let any = |wanted: &Found| found.values().any(|found| found == wanted);
    if any(&Found::KnowsOtherStore) {
        return NodeState::Wiped { node };
    }
    if any(&Found::HasCluster) {
        return NodeState::WaitingToJoin { node };
    }
    let missing = found.iter().filter(|(_, found)| **found != Found::Empty);
    let awaits: Vec<NodeId> = missing.map(|(node, _)| *node).collect();
    match before {
        // Who has told of a cluster and is silent now has not lost it.
        NodeState::Wiped { .. } | NodeState::WaitingToJoin { .. } if !awaits.is_empty() => before.clone(),
        _ => NodeState::Bootstrapping { awaits },
    }
}

async fn ask(peers: Peers, node: NodeId, address: String) -> Found {
    let dialer = peers.dialer(node, &address);
    let answer = tokio::time::timeout(ANSWER_WITHIN, dialer.dial()).await.unwrap_or(Err(DialError::Slow));
    match answer {
        Ok((_, hello)) if !hello.empty => Found::HasCluster,
        Ok((_, hello)) if hello.initial == peers.local.initial => Found::Empty,
        Ok((_, hello)) => Found::OtherList(hello.initial),
        Err(DialError::Refused(HelloRefusal::OtherStore)) => Found::KnowsOtherStore,
        Err(error) => {
            tracing::debug!(node, address, %error, "a listed node has not answered yet");
            Found::Nothing
        }
    }
}

async fn initialize(local: &LocalNode, initial: &BTreeMap<NodeId, String>) -> bool {
    let Some(raft) = local.raft.get() else { return false };
    let member = |(node, address): (&NodeId, &String)| (*node, BasicNode { addr: address.clone() });
    let members: BTreeMap<NodeId, BasicNode> = initial.iter().map(member).collect();
    match raft.initialize(members).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, "the cluster could not be formed");
            false
        }
    }
}

/// What the log was told, so that it is told once.
#[derive(Default)]
struct Told {
    standing: Option<NodeState>,
    lists: BTreeMap<NodeId, Vec<NodeId>>,
    /// Rounds since the others were found to have a cluster.
    waited: u32,
}

impl Told {
    fn standing(&mut self, now: &NodeState) {
        self.waited = if matches!(now, NodeState::WaitingToJoin { .. }) { self.waited + 1 } else { 0 };
        if self.standing.as_ref() == Some(now) || (1..ADDED_BY_THEN).contains(&self.waited) {
            return;
        }
        match now {
            NodeState::Wiped { .. } => tracing::error!("{now}"),
            _ => tracing::info!("{now}"),
        }
        self.standing = Some(now.clone());
    }

    fn lists(&mut self, local: &LocalNode, found: &BTreeMap<NodeId, Found>) {
        for (node, found) in found {
            if let Found::OtherList(theirs) = found
                && self.lists.insert(*node, theirs.clone()).as_ref() != Some(theirs)
            {
                let ours = &local.initial;
                tracing::error!(node, ?ours, ?theirs, "nodes that form a cluster need the same list of peers");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(found: &[Found], before: &NodeState) -> NodeState {
        judge(1, &(2..).zip(found.iter().cloned()).collect(), before)
    }

    #[test]
    fn who_has_not_said_that_it_is_empty_is_waited_for() {
        let new = NodeState::Bootstrapping { awaits: vec![2, 3] };
        let awaits = |found: &[Found]| judged(found, &new);
        assert_eq!(awaits(&[Found::Nothing, Found::Empty]), NodeState::Bootstrapping { awaits: vec![2] });
        assert_eq!(awaits(&[Found::Empty, Found::OtherList(vec![9])]), NodeState::Bootstrapping { awaits: vec![3] });
        assert_eq!(awaits(&[Found::Empty, Found::Empty]), NodeState::Bootstrapping { awaits: vec![] });
    }

    #[test]
    fn silence_undoes_nothing_that_was_told() {
        let wiped = NodeState::Wiped { node: 1 };
        assert_eq!(judged(&[Found::HasCluster, Found::KnowsOtherStore], &NodeState::WaitingToJoin { node: 1 }), wiped);
        assert_eq!(judged(&[Found::Nothing, Found::Nothing], &wiped), wiped);
        assert_eq!(judged(&[Found::Nothing, Found::HasCluster], &wiped), NodeState::WaitingToJoin { node: 1 });
        assert_eq!(judged(&[Found::Empty, Found::Empty], &wiped), NodeState::Bootstrapping { awaits: vec![] });
    }
}
