//! Completes changes of the membership that a former leader has left half done.

use std::time::Duration;

use openraft::metrics::RaftServerMetrics;
use openraft::{BasicNode, ChangeMembers, ServerState};

use crate::raft::types::{NodeId, Raft};

const COMPLETION_DELAY: Duration = Duration::from_secs(1);

/// While this node leads: between the two entries of a change, both the old and the new majority are needed for everything.
/// Runs until openraft has stopped.
pub async fn complete_changes(raft: Raft) {
    let mut server = raft.server_metrics();
    let is_between = |now: &RaftServerMetrics<NodeId, BasicNode>| {
        now.state == ServerState::Leader && now.membership_config.membership().get_joint_config().len() > 1
    };
    while server.wait_for(is_between).await.is_ok() {
        // The node that has begun the change may still complete it.
        tokio::time::sleep(COMPLETION_DELAY).await;
        let voters = Some(server.borrow().clone())
            .filter(is_between)
            .and_then(|now| now.membership_config.membership().get_joint_config().last().cloned());
        if let Some(voters) = voters
            && let Err(error) = raft.change_membership(ChangeMembers::ReplaceAllVoters(voters), false).await
        {
            tracing::debug!(%error, "a change of the members is not complete yet");
        }
    }
}
