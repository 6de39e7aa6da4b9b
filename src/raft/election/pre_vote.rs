//! The pre-vote: whether a majority of the voters would vote for this node, asked before it raises the term.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::raft::codec::{decode, encode};
use crate::raft::peers::connections::Peers;
use crate::raft::peers::frame::MessageKind;
use crate::raft::types::{NodeId, Raft};

/// Whether this node is a voter and a majority would vote for it. An answer counts if it comes within `timeout`.
pub async fn is_won(raft: &Raft, peers: &Peers, timeout: Duration) -> bool {
    let id = peers.local.node_id;
    let membership = raft.metrics().borrow().membership_config.membership().clone();
    let last = raft.data_metrics().borrow().last_log;
    let configs = membership.get_joint_config();
    if !configs.iter().flatten().any(|voter| *voter == id) {
        return false;
    }
    let mut asked = JoinSet::new();
    let others: BTreeSet<NodeId> = membership.voter_ids().filter(|voter| *voter != id).collect();
    for node in others {
        let Some(address) = membership.get_node(&node).map(|node| node.addr.clone()) else { continue };
        let connection = peers.raft_connection(node, &address);
        let ask = async move { (node, connection.request(MessageKind::PreVote, encode(&last)).await) };
        asked.spawn(tokio::time::timeout(timeout, ask));
    }
    let mut granted = BTreeSet::from([id]);
    let is_majority = |granted: &BTreeSet<NodeId>| {
        configs.iter().all(|voters| voters.intersection(granted).count() * 2 > voters.len())
    };
    while !is_majority(&granted) {
        match asked.join_next().await {
            Some(Ok(Ok((node, Ok(answer))))) if decode(&answer).unwrap_or(false) => drop(granted.insert(node)),
            Some(_) => {}
            None => return false,
        }
    }
    true
}
