//! The members as this node knows them, and what it tells others about itself.

use super::liveness::NodeLiveness;
use super::node_health::NodeHealth;
use crate::domain::{FEATURE_LEVEL, Incarnation, StoreId};
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::command_queue::CommandQueue;
use crate::engine::messages::{NodeClient, Request};
use crate::engine::table_host::TableHost;
use crate::raft::RaftNode;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub struct ClusterMembers {
    pub(super) raft: RaftNode,
    pub(super) client: NodeClient,
    pub(super) host: Arc<TableHost>,
    pub(super) queue: Arc<CommandQueue>,
    pub(super) clock: Arc<ClusterClock>,
    pub(super) health: Arc<NodeHealth>,
    pub(super) liveness: NodeLiveness,
    pub(super) timeouts: MemberTimeouts,
    /// The nodes that this one was started with.
    configured: BTreeMap<u64, String>,
}

#[derive(Clone, Copy, Debug)]
pub struct MemberTimeouts {
    /// A change of the membership is refused after this long without a quorum.
    pub no_quorum_after: Duration,
    /// A node that is not heard for this long is declared down.
    pub node_down_after: Duration,
}

impl ClusterMembers {
    pub fn new(
        raft: RaftNode,
        host: Arc<TableHost>,
        queue: Arc<CommandQueue>,
        clock: Arc<ClusterClock>,
        health: Arc<NodeHealth>,
        timeouts: MemberTimeouts,
        configured: BTreeMap<u64, String>,
    ) -> ClusterMembers {
        let client = NodeClient(raft.clone());
        let liveness = NodeLiveness::default();
        ClusterMembers { raft, client, host, queue, clock, health, liveness, timeouts, configured }
    }

    /// What this node says of itself when it presents itself to another.
    pub fn introduction(&self) -> Request {
        Request::Present { incarnation: self.incarnation(), store: StoreId(self.raft.store_id()), level: FEATURE_LEVEL }
    }

    pub fn incarnation(&self) -> Incarnation {
        self.host.requests.incarnation()
    }

    /// The other nodes: the configured ones, and the members as this node last knew them, whose addresses win.
    pub(super) fn others(&self) -> BTreeMap<u64, String> {
        let mut others = self.configured.clone();
        others.extend(self.raft.members().into_iter().map(|member| (member.node, member.address)));
        others.remove(&self.health.node());
        others.retain(|_, address| !address.is_empty());
        others
    }
}
