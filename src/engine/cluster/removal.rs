//! How a node finds out that it was taken out of its cluster: nobody sends it the log entry that says so.
//!
//! While it follows a leader, that one tells it (`follow.rs`). Otherwise, after a restart or where another leads now, it
//! asks every node that it knows of.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use super::wire::{Reply, Request};
use crate::domain::{FEATURE_LEVEL, StoreId};
use crate::engine::core::Core;
use crate::raft::NodeState;

const LOOK_EVERY: Duration = Duration::from_millis(500);
const ASK_WITHIN: Duration = Duration::from_millis(500);

/// Runs until the engine is gone.
pub async fn watch(core: Weak<Core>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(core) = core.upgrade() else { return };
        let stands = match *core.raft.state().borrow() {
            NodeState::Member | NodeState::LostEnd { .. } | NodeState::Removed { .. } => true,
            NodeState::Bootstrapping { .. }
            | NodeState::WaitingToJoin { .. }
            | NodeState::Wiped { .. }
            | NodeState::Diverged { .. } => false,
        };
        if stands && !core.is_alone() && !core.leads() && !core.has_quorum() {
            core.ask_whether_member().await;
        }
    }
}

impl Core {
    /// Presents this node to every other one. Only a leader with a quorum has an answer.
    async fn ask_whether_member(&self) {
        let request = Request::Present {
            incarnation: self.incarnation,
            store: StoreId(self.raft.store_id()),
            level: FEATURE_LEVEL,
        };
        for (node, address) in self.others() {
            match self.ask_at(node, &address, &request, ASK_WITHIN).await {
                Some(Reply::NotMember) => return self.raft.set_removed(true),
                Some(Reply::Accepted { .. }) => return self.raft.set_removed(false),
                _ => {}
            }
        }
    }

    /// The nodes that it was started with, and the members as it last knew them, whose addresses win.
    fn others(&self) -> BTreeMap<u64, String> {
        let mut others = self.cluster.peers.clone();
        others.extend(self.raft.members().into_iter().map(|member| (member.node, member.address)));
        others.remove(&self.cluster.node_id);
        others.retain(|_, address| !address.is_empty());
        others
    }
}
