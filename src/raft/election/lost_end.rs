//! A lost end of the log: entries that this node acknowledged are gone from it, as after a power loss with a disk that
//! lies. This is not truncation, by which a leader replaces entries that conflict with its own. Until a leader has sent them
//! again, the node votes only for candidates that have them.

use std::sync::Arc;

use tokio::sync::watch;

use crate::raft::membership::node_state::NodeState;
use crate::raft::types::{LogId, NodeId, Raft};

/// What the log had lost when the node started.
#[derive(Debug)]
pub struct LostEnd {
    pub node_id: NodeId,
    /// The newest entry that this node has acknowledged, if its log lacked it.
    pub newest: Option<LogId>,
}

impl LostEnd {
    /// The newest entry that this node has acknowledged, while its log lacks it. What is lost may include that others belong
    /// to the cluster, so only a node without peers leads with such a log.
    pub fn missing(&self, raft: &Raft) -> Option<LogId> {
        self.newest.filter(|newest| raft.data_metrics().borrow().last_log < Some(*newest))
    }

    /// Whether this node may vote for a candidate whose log ends with `last`.
    ///
    /// A node without a log may have lost it, and with it entries of which the candidate knows nothing. So it votes for the
    /// first leader of a new cluster, whose log holds the first members alone, and for no other. A node whose log has lost
    /// its end votes as it would have voted with it.
    pub fn may_vote_for(&self, raft: &Raft, last: Option<LogId>) -> bool {
        let is_established = last.is_some_and(|last| last.index > 0);
        let has_log = !is_established || raft.data_metrics().borrow().last_log.is_some();
        has_log && self.missing(raft).is_none_or(|missing| last >= Some(missing))
    }

    /// The state of this node, as a member of its cluster.
    pub fn state(&self, raft: &Raft) -> NodeState {
        match self.missing(raft) {
            Some(lost) => NodeState::LostEnd { node: self.node_id, term: lost.leader_id.term, index: lost.index },
            None => NodeState::Member,
        }
    }

    /// Makes this node an ordinary member again when a leader has sent what it had lost. Runs until then, or until openraft
    /// has stopped.
    pub async fn recover(self: Arc<Self>, raft: Raft, state: watch::Sender<NodeState>) {
        let mut data = raft.data_metrics();
        let node = self.node_id;
        tracing::error!(node, "{}", *state.borrow());
        while self.missing(&raft).is_some() {
            if data.changed().await.is_err() {
                return;
            }
        }
        tracing::info!(node, "the log of node {node} has all that this node acknowledged again");
        state.send_if_modified(|now| {
            let recovered = now.has_lost_end();
            if recovered {
                *now = NodeState::Member;
            }
            recovered
        });
    }
}
