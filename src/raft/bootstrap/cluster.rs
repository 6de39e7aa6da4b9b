//! Bootstrap: nodes with empty stores, each started with the same list of nodes, become a cluster in any order.
//!
//! A cluster may begin only once: a node that forms another one because it did not see the first would give locks a
//! second time. So no cluster is formed before *every* listed node has answered that it is empty too and has the same
//! list. Then the node with the lowest id initializes the cluster, and its heartbeats reach the others.

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

/// Between two rounds of questions.
const RETRY_DELAY: Duration = Duration::from_millis(200);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Rounds after which a node that finds a cluster says that it waits to be added: a member hears from the leader sooner.
const REPORT_WAIT_AFTER: u32 = 15;

/// The answer of another listed node.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PeerAnswer {
    Empty,
    HasCluster,
    KnowsOtherStore,
    /// It is empty, and was started with this other list.
    OtherList(Vec<NodeId>),
    None,
}

/// Runs until this node belongs to a cluster.
pub async fn bootstrap(peers: Peers, initial: BTreeMap<NodeId, String>, state: watch::Sender<NodeState>) {
    let local = peers.local.clone();
    let others: Vec<_> = initial.iter().filter(|(node, _)| **node != local.node_id).collect();
    let mut report = Report::default();
    report.state(&state.borrow());
    while local.is_empty() {
        let mut asked = JoinSet::new();
        for (node, address) in others.clone() {
            let (peers, node, address) = (peers.clone(), *node, address.clone());
            asked.spawn(async move { (node, ask(peers, node, address).await) });
        }
        let found: BTreeMap<NodeId, PeerAnswer> = asked.join_all().await.into_iter().collect();
        report.lists(&local, &found);
        let before = state.borrow().clone();
        let now = next_state(local.node_id, &found, &before);
        report.state(&now);
        state.send_if_modified(|state| std::mem::replace(state, now.clone()) != now);
        let begins =
            now == NodeState::Bootstrapping { awaits: Vec::new() } && initial.keys().next() == Some(&local.node_id);
        if begins && initialize(&local, &initial).await {
            break;
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
    state.send_replace(NodeState::Member);
    tracing::info!(node = local.node_id, "node {} belongs to a cluster", local.node_id);
}

fn next_state(node: NodeId, found: &BTreeMap<NodeId, PeerAnswer>, before: &NodeState) -> NodeState {
    let any = |wanted: &PeerAnswer| found.values().any(|found| found == wanted);
    if any(&PeerAnswer::KnowsOtherStore) {
        return NodeState::Wiped { node };
    }
    if any(&PeerAnswer::HasCluster) {
        return NodeState::WaitingToJoin { node };
    }
    let missing = found.iter().filter(|(_, found)| **found != PeerAnswer::Empty);
    let awaits: Vec<NodeId> = missing.map(|(node, _)| *node).collect();
    match before {
        // A cluster that was reported once is still there, even if no node answers now.
        NodeState::Wiped { .. } | NodeState::WaitingToJoin { .. } if !awaits.is_empty() => before.clone(),
        _ => NodeState::Bootstrapping { awaits },
    }
}

async fn ask(peers: Peers, node: NodeId, address: String) -> PeerAnswer {
    let dialer = peers.dialer(node, &address);
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, dialer.dial()).await.unwrap_or(Err(DialError::Slow));
    match answer {
        Ok((_, hello)) if !hello.empty => PeerAnswer::HasCluster,
        Ok((_, hello)) if hello.initial == peers.local.initial => PeerAnswer::Empty,
        Ok((_, hello)) => PeerAnswer::OtherList(hello.initial),
        Err(DialError::Refused(HelloRefusal::OtherStore)) => PeerAnswer::KnowsOtherStore,
        Err(error) => {
            tracing::debug!(node, address, %error, "a listed node has not answered yet");
            PeerAnswer::None
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

/// What was logged, so that nothing is logged twice.
#[derive(Default)]
struct Report {
    state: Option<NodeState>,
    lists: BTreeMap<NodeId, Vec<NodeId>>,
    /// Rounds since the others were found to have a cluster.
    waited: u32,
}

impl Report {
    fn state(&mut self, now: &NodeState) {
        self.waited = if matches!(now, NodeState::WaitingToJoin { .. }) { self.waited + 1 } else { 0 };
        if self.state.as_ref() == Some(now) || (1..REPORT_WAIT_AFTER).contains(&self.waited) {
            return;
        }
        match now {
            NodeState::Wiped { .. } => tracing::error!("{now}"),
            _ => tracing::info!("{now}"),
        }
        self.state = Some(now.clone());
    }

    fn lists(&mut self, local: &LocalNode, found: &BTreeMap<NodeId, PeerAnswer>) {
        for (node, found) in found {
            if let PeerAnswer::OtherList(theirs) = found
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

    fn next(found: &[PeerAnswer], before: &NodeState) -> NodeState {
        next_state(1, &(2..).zip(found.iter().cloned()).collect(), before)
    }

    #[test]
    fn bootstrap_awaits_every_node_not_known_empty() {
        let new = NodeState::Bootstrapping { awaits: vec![2, 3] };
        let awaits = |found: &[PeerAnswer]| next(found, &new);
        assert_eq!(awaits(&[PeerAnswer::None, PeerAnswer::Empty]), NodeState::Bootstrapping { awaits: vec![2] });
        assert_eq!(
            awaits(&[PeerAnswer::Empty, PeerAnswer::OtherList(vec![9])]),
            NodeState::Bootstrapping { awaits: vec![3] }
        );
        assert_eq!(awaits(&[PeerAnswer::Empty, PeerAnswer::Empty]), NodeState::Bootstrapping { awaits: vec![] });
    }

    #[test]
    fn silence_does_not_undo_earlier_answers() {
        let wiped = NodeState::Wiped { node: 1 };
        assert_eq!(
            next(&[PeerAnswer::HasCluster, PeerAnswer::KnowsOtherStore], &NodeState::WaitingToJoin { node: 1 }),
            wiped
        );
        assert_eq!(next(&[PeerAnswer::None, PeerAnswer::None], &wiped), wiped);
        assert_eq!(next(&[PeerAnswer::None, PeerAnswer::HasCluster], &wiped), NodeState::WaitingToJoin { node: 1 });
        assert_eq!(next(&[PeerAnswer::Empty, PeerAnswer::Empty], &wiped), NodeState::Bootstrapping { awaits: vec![] });
    }
}
