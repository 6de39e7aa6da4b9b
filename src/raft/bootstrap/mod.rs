//! How a cluster begins: with one node, with several empty nodes, or from a snapshot.

pub mod cluster;
pub mod snapshot;

use std::collections::BTreeMap;

use openraft::BasicNode;

use crate::raft::error::NodeStartError;
use crate::raft::options::PeerOptions;
use crate::raft::types::{NodeId, Raft};

/// Bootstraps a cluster of one on an empty store, unless the node has others to form a cluster with, and has an only voter
/// stand for election at once.
pub async fn bootstrap_or_rejoin(
    raft: &Raft,
    node_id: NodeId,
    peers: &PeerOptions,
    lost_end: bool,
) -> Result<(), NodeStartError> {
    if !raft.is_initialized().await.map_err(NodeStartError::engine)? {
        if peers.has_others(node_id) {
            return Ok(());
        }
        let members = BTreeMap::from([(node_id, BasicNode { addr: peers.advertise.clone() })]);
        return raft.initialize(members).await.map_err(NodeStartError::engine);
    }
    let voters: Vec<NodeId> = raft.server_metrics().borrow().membership_config.voter_ids().collect();
    if voters == [node_id] && !lost_end {
        // Also one that has led before: see `types::vote_at_start`.
        return raft.trigger().elect().await.map_err(NodeStartError::engine);
    }
    Ok(())
}
