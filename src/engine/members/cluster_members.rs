//! The members as this node knows them, and what it tells others about itself.

use super::liveness::NodeLiveness;
use super::node_health::NodeHealth;
use crate::domain::{FEATURE_LEVEL, NodeId, StoreId};
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::command_queue::CommandQueue;
use crate::engine::messages::{ASK_TIMEOUT, MemberLine, Reply, Request, ask};
use crate::engine::options::EngineOptions;
use crate::engine::table_host::TableHost;
use crate::raft::{Member, NodeState, RaftNode};
use std::collections::BTreeMap;
use std::sync::Arc;

pub struct ClusterMembers {
    pub options: Arc<EngineOptions>,
    pub raft: RaftNode,
    pub host: Arc<TableHost>,
    pub queue: Arc<CommandQueue>,
    pub clock: Arc<ClusterClock>,
    pub health: Arc<NodeHealth>,
    pub liveness: NodeLiveness,
}

#[derive(Clone, Debug)]
pub struct ClusterView {
    /// The node that answers.
    pub node: u64,
    pub leader: Option<u64>,
    pub term: u64,
    /// The state of the node that answers.
    pub state: NodeState,
    /// Whether a leader with a quorum is known.
    pub has_quorum: bool,
    /// The replicated feature level.
    pub level: u32,
    /// The last entry that the node that answers has applied.
    pub applied_index: u64,
    /// Ordered by node id.
    pub members: Vec<MemberView>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberView {
    pub node: u64,
    /// Empty if the node runs alone and has never had one.
    pub address: String,
    pub role: MemberRole,
    pub up: bool,
    /// Log entries that it lacks; `None` if only the leader knows.
    pub lag_entries: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberRole {
    Leader,
    Follower,
    /// Receives the log and has no vote.
    Learner,
}

impl MemberRole {
    pub const fn as_str(self) -> &'static str {
        match self {
            MemberRole::Leader => "leader",
            MemberRole::Follower => "follower",
            MemberRole::Learner => "learner",
        }
    }
}

impl ClusterMembers {
    /// What this node says of itself when it presents itself to another.
    pub fn introduction(&self) -> Request {
        let incarnation = self.host.requests.incarnation();
        Request::Present { incarnation, store: StoreId(self.raft.store_id()), level: FEATURE_LEVEL }
    }

    /// The other nodes: the configured ones, and the members as this node last knew them, whose addresses win.
    pub(super) fn others(&self) -> BTreeMap<u64, String> {
        let mut others = self.options.cluster.peer_urls();
        others.extend(self.raft.members().into_iter().map(|member| (member.node, member.address)));
        others.remove(&self.health.node());
        others.retain(|_, address| !address.is_empty());
        others
    }
}

impl ClusterMembers {
    /// The cluster as the leader sees it, or as this node does if the leader does not answer: a view is wanted most when
    /// there is no quorum.
    pub async fn view(&self) -> ClusterView {
        let lines = match self.health.leader() {
            Some(leader) => match ask(&self.raft, leader, &Request::Members, ASK_TIMEOUT).await {
                Some(Reply::Members { members }) => members,
                _ => self.member_lines(),
            },
            None => self.member_lines(),
        };
        self.view_of(lines)
    }

    /// The cluster as this node alone sees it: how far others are behind is known to the leader only.
    pub fn local_view(&self) -> ClusterView {
        self.view_of(self.member_lines())
    }

    /// The members as this node sees them.
    pub fn member_lines(&self) -> Vec<MemberLine> {
        let last = self.raft.progress().last_log_index;
        let table = self.host.table();
        let line = |member: Member| MemberLine {
            up: table.nodes().get(&NodeId(member.node)).is_some_and(|record| record.up),
            node: member.node,
            address: member.address,
            voter: member.voter,
            lag_entries: member.matched_index.map(|matched| last.saturating_sub(matched)),
        };
        self.raft.members().into_iter().map(line).collect()
    }

    fn view_of(&self, mut lines: Vec<MemberLine>) -> ClusterView {
        let leadership = self.raft.current_leadership();
        let has_quorum = self.health.has_quorum();
        if !has_quorum {
            // The table cannot learn any more which node is down.
            lines.iter_mut().for_each(|line| line.up &= self.raft.is_reachable(line.node));
        }
        let mut members: Vec<MemberView> = lines.into_iter().map(|line| member_view(line, leadership.leader)).collect();
        members.sort_by_key(|member| member.node);
        ClusterView {
            node: self.health.node(),
            leader: leadership.leader,
            term: leadership.term,
            state: self.health.state(),
            has_quorum,
            level: self.host.table().level(),
            applied_index: self.raft.progress().applied_index,
            members,
        }
    }
}

fn member_view(line: MemberLine, leader: Option<u64>) -> MemberView {
    let role = match line.voter {
        _ if leader == Some(line.node) => MemberRole::Leader,
        true => MemberRole::Follower,
        false => MemberRole::Learner,
    };
    MemberView { node: line.node, address: line.address, role, up: line.up, lag_entries: line.lag_entries }
}
