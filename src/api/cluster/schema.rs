//! The cluster as JSON.

use crate::engine::{ClusterView, MemberRole, MemberView, NodeState};
use serde::Serialize;
use utoipa::ToSchema;

/// The cluster, as the node that answers sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Cluster)]
pub struct Cluster {
    /// The node that answers.
    #[schema(example = 1)]
    node: u64,
    /// Null while no leader is known.
    #[schema(example = 1)]
    leader: Option<u64>,
    term: u64,
    /// How the node that answers stands to it: `member`, `lost-end` (its log has lost its end, and waits for a leader to send
    /// it), `forming` or `waiting` (it is none yet), `removed` (it is none any more), `wiped` (it has lost its disk) or
    /// `differs` (its table is not that of the others); the last three serve no requests.
    #[schema(example = "member")]
    standing: &'static str,
    /// What is to be done about that; null for a member.
    standing_detail: Option<String>,
    /// Whether a leader with a quorum behind it is known. Without one nothing is granted.
    has_quorum: bool,
    /// What all members can do; rises by itself when the last of them runs a newer release.
    feature_level: u32,
    /// The last log entry that the node which answers has applied.
    applied_index: u64,
    /// In the order of their ids.
    members: Vec<Member>,
}

/// One node of the cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub struct Member {
    #[schema(example = 1)]
    node: u64,
    /// Where its peers reach it; empty for a node that runs alone.
    #[schema(example = "https://10.0.0.1:9443")]
    address: String,
    /// `leader`, `follower` (has a vote) or `learner` (has none yet).
    #[schema(example = "leader")]
    role: &'static str,
    /// False when the leader has not heard of it for `cluster.node_down_after`.
    up: bool,
    /// Log entries that it lacks; null where the node that answers cannot know.
    lag_entries: Option<u64>,
}

impl From<ClusterView> for Cluster {
    fn from(view: ClusterView) -> Cluster {
        Cluster {
            node: view.node,
            leader: view.leader,
            term: view.term,
            standing: view.state.as_str(),
            standing_detail: (view.state != NodeState::Member).then(|| view.state.to_string()),
            has_quorum: view.has_quorum,
            feature_level: view.level,
            applied_index: view.applied_index,
            members: view.members.into_iter().map(Member::from).collect(),
        }
    }
}

impl From<MemberView> for Member {
    fn from(member: MemberView) -> Member {
        let MemberView { node, address, role, up, lag_entries } = member;
        Member { node, address, role: MemberRole::as_str(role), up, lag_entries }
    }
}
