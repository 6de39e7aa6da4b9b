//! How a cluster begins: with one node, with several empty nodes, or from a snapshot.

pub mod cluster;
pub mod snapshot;

use std::collections::BTreeMap;

use openraft::BasicNode;

use crate::raft::error::NodeStartError;
use crate::raft::options::RaftOptions;
use crate::raft::types::{NodeId, Raft};

/// Bootstraps a cluster of one on an empty store, unless the node has peers to form a cluster with, and has an only voter
/// stand for election at once.
pub async fn bootstrap_or_rejoin(raft: &Raft, options: &RaftOptions, lost_end: bool) -> Result<(), NodeStartError> {
    let node_id = options.node_id;
    let peers = options.peers.as_ref();
    if !raft.is_initialized().await.map_err(NodeStartError::engine)? {
        if peers.is_some_and(|peers| peers.has_others(node_id)) {
            return Ok(());
        }
        let address = peers.map_or_else(String::new, |peers| peers.advertise.clone());
        let members = BTreeMap::from([(node_id, BasicNode { addr: address })]);
        return raft.initialize(members).await.map_err(NodeStartError::engine);
    }
    let voters: Vec<NodeId> = raft.server_metrics().borrow().membership_config.voter_ids().collect();
    if voters == [node_id] && !lost_end {
        // Also one that has led before: see `types::vote_at_start`.
        return raft.trigger().elect().await.map_err(NodeStartError::engine);
    }
    match peers {
        Some(_) => Ok(()),
        None if voters.contains(&node_id) => Err(NodeStartError::PeersNeeded { node_id, voters: voters.len() }),
        None => Err(NodeStartError::OtherNode { node_id, found: voters }),
    }
}
