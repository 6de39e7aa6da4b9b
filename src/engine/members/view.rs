//! The cluster as this node sees it.

use super::cluster_members::ClusterMembers;
use crate::domain::NodeId;
use crate::engine::messages::{MemberLine, Reply, Request};
use crate::raft::{Member, NodeState};
use std::time::Duration;

const ASK_WITHIN: Duration = Duration::from_millis(500);

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
    /// Of the node that answers.
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
    /// The cluster as the leader sees it, or as this node does if the leader does not answer: a view is wanted most when
    /// there is no quorum.
    pub async fn view(&self) -> ClusterView {
        let lines = match self.health.leader() {
            Some(leader) => match self.client.ask(leader, &Request::Members, ASK_WITHIN).await {
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
        let leadership = *self.raft.leadership().borrow();
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
