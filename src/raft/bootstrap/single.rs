//! How a node begins: the log engine's configuration, and its place in a cluster.

use std::collections::BTreeMap;

use openraft::{BasicNode, Config, SnapshotPolicy};

use crate::raft::error::NodeStartError;
use crate::raft::options::RaftOptions;
use crate::raft::types::{NodeId, Raft};

/// A bound for tiny ones only.
const ENTRIES_PER_MESSAGE: u64 = 4096;

pub fn engine_error(error: impl std::fmt::Display) -> NodeStartError {
    NodeStartError::Engine(error.to_string())
}

/// openraft's timers are off, see `elections.rs`; what is left of them is how long it protects a leader that was just heard
/// from candidates: a little less than any of them waits.
pub fn config(options: &RaftOptions) -> Result<Config, openraft::ConfigError> {
    let lease = (options.election_min.as_millis() as u64 * 4 / 5).max(4);
    let config = Config {
        cluster_name: "latchd".to_owned(),
        enable_elect: false,
        enable_heartbeat: false,
        heartbeat_interval: lease / 2,
        election_timeout_min: lease - 1,
        election_timeout_max: lease,
        // Entries vary from bytes to a megabyte, so their number says nothing: `meters` decides by bytes when a snapshot
        // is taken and what is kept behind it, the logs how much goes into one message.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        max_payload_entries: ENTRIES_PER_MESSAGE,
        ..Config::default()
    };
    config.validate()
}

/// Makes a cluster of one out of an empty store that is to be in no other, and lets an only voter stand for election
/// without a wait.
pub async fn take_place(raft: &Raft, options: &RaftOptions, lost_end: bool) -> Result<(), NodeStartError> {
    let node_id = options.node_id;
    let peers = options.peers.as_ref();
    if !raft.is_initialized().await.map_err(engine_error)? {
        if peers.is_some_and(|peers| peers.has_others(node_id)) {
            return Ok(());
        }
        let address = peers.map_or_else(String::new, |peers| peers.advertise.clone());
        let members = BTreeMap::from([(node_id, BasicNode { addr: address })]);
        return raft.initialize(members).await.map_err(engine_error);
    }
    let voters: Vec<NodeId> = raft.server_metrics().borrow().membership_config.voter_ids().collect();
    if voters == [node_id] && !lost_end {
        // Also one that has led before: see `types::vote_at_start`.
        return raft.trigger().elect().await.map_err(engine_error);
    }
    match peers {
        Some(_) => Ok(()),
        None if voters.contains(&node_id) => Err(NodeStartError::PeersNeeded { node_id, voters: voters.len() }),
        None => Err(NodeStartError::OtherNode { node_id, found: voters }),
    }
}
