//! How a node finds out that it was removed from its cluster: nobody sends it the log entry that says so.
//!
//! While it follows a leader, the leader tells it. Otherwise, as after a restart, it asks every node that it knows of.

use super::cluster_members::ClusterMembers;
use crate::engine::messages::Reply;
use crate::raft::NodeState;
use std::sync::Arc;
use std::time::Duration;

const CHECK_EVERY: Duration = Duration::from_millis(500);
const ASK_WITHIN: Duration = Duration::from_millis(500);

/// Runs until it is aborted.
pub async fn watch_for_removal(members: Arc<ClusterMembers>) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let may_be_removed = match *members.raft.state().borrow() {
            NodeState::Member | NodeState::LostEnd { .. } | NodeState::Removed { .. } => true,
            NodeState::Bootstrapping { .. }
            | NodeState::WaitingToJoin { .. }
            | NodeState::Wiped { .. }
            | NodeState::Diverged { .. } => false,
        };
        let health = &members.health;
        if may_be_removed && !health.is_alone() && !health.leads() && !health.has_quorum() {
            members.ask_whether_member().await;
        }
    }
}

impl ClusterMembers {
    /// Presents this node to every other one. Only a leader with a quorum has an answer.
    async fn ask_whether_member(&self) {
        let request = self.introduction();
        for (node, address) in self.others() {
            match self.client.ask_at(node, &address, &request, ASK_WITHIN).await {
                Some(Reply::NotMember) => return self.raft.set_removed(true),
                Some(Reply::Accepted { .. }) => return self.raft.set_removed(false),
                _ => {}
            }
        }
    }
}
