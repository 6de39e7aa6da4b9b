//! What a leader decides about the other nodes: which are down, and which feature level all of them support.

use super::cluster_members::ClusterMembers;
use crate::base::KeyedLogRateLimit;
use crate::base::clock;
use crate::domain::{Command, FEATURE_LEVEL, Incarnation, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Each attempt is repeated at once, and would log a line.
static DOWN: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);

impl ClusterMembers {
    /// A leadership of this node begins: it has heard no node yet.
    pub fn begin_supervision(&self) {
        self.liveness.forget_all();
    }

    /// Declares nodes down that have been silent for too long, and raises the feature level when all support it.
    pub fn supervise(&self, age: Duration) {
        let up = self.other_nodes_that_are_up();
        for node in self.liveness.silent(up.keys().copied(), age, self.timeouts.node_down_after) {
            if let Some(held_back) = DOWN.admit(node, clock::process_age()) {
                tracing::warn!(node, held_back, "a node is not heard any more: it is declared down");
            }
            let down = Command::NodeDown { node: NodeId(node), incarnation: up[&node] };
            drop(self.queue.submit_as_leader(down));
        }
        self.raise_level();
    }

    fn other_nodes_that_are_up(&self) -> BTreeMap<u64, Incarnation> {
        let table = self.host.table();
        let others = table.nodes().iter().filter(|(node, record)| record.up && node.0 != self.health.node());
        others.map(|(node, record)| (node.0, record.incarnation)).collect()
    }

    fn raise_level(&self) {
        let table = self.host.table();
        let members = self.raft.members();
        let supported =
            members.iter().map(|member| table.nodes().get(&NodeId(member.node)).map_or(0, |record| record.level));
        let level = supported.min().unwrap_or(0).min(FEATURE_LEVEL);
        if level > table.level() {
            drop(table);
            tracing::info!(level, "every member supports a higher feature level: it is raised");
            drop(self.queue.submit_as_leader(Command::RaiseLevel { level }));
        }
    }
}
