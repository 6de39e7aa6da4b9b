//! Who belongs to the cluster, and changes of that.

use super::wire::{Change, MemberLine, Reply, Request};
use crate::engine::error::{EngineError, Fault};
use crate::engine::face::Engine;
use crate::raft::NodeState;
use std::time::Duration;

/// The cluster as this node sees it.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// The node that answers.
    pub node: u64,
    pub leader: Option<u64>,
    pub term: u64,
    /// How the node that answers stands to it.
    pub standing: NodeState,
    /// Whether a leader is known that has a quorum behind it.
    pub has_quorum: bool,
    /// The replicated feature level.
    pub level: u32,
    /// Of the node that answers.
    pub applied_index: u64,
    /// In the order of their ids.
    pub members: Vec<MemberView>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberView {
    pub node: u64,
    /// Empty where the node runs alone and has never had one.
    pub address: String,
    pub role: MemberRole,
    pub up: bool,
    /// Log entries that it lacks; `None` where only the leader knows.
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

/// Why the membership was not changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MemberError {
    #[error("this node runs alone: start it with --peer-listen and its certificates to grow a cluster")]
    Alone,
    #[error("the address {0:?} is not accepted: expected a URL like https://10.0.0.4:9443")]
    BadAddress(String),
    #[error("node {0} is no member: `latchd members list` shows who is")]
    Unknown(u64),
    #[error(
        "node {node} is a member already, at {address}: if it is to come back anew, `latchd members remove {node}` first, \
         then add it"
    )]
    AlreadyMember { node: u64, address: String },
    #[error("node {0} has a vote already")]
    AlreadyVoter(u64),
    #[error("node {node} at {address} cannot be added: {reason}")]
    Unreachable { node: u64, address: String, reason: String },
    #[error(
        "node {node} lacks {lag_entries} log entries: `latchd members promote {node}` when `latchd members list` shows it \
         close to 0"
    )]
    NotCaughtUp { node: u64, lag_entries: u64 },
    #[error("without node {0} too few of the voters would be up to decide anything: bring another node up first")]
    WouldLoseQuorum(u64),
    #[error("another change of the membership is not finished: ask again")]
    Busy,
}

/// Whether peers can be reached at such an address.
pub fn check_address(address: &str) -> Result<(), MemberError> {
    let authority = address.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let is_host = |host: &str| match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    let parts = authority.and_then(|authority| authority.rsplit_once(':'));
    match parts {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        _ => Err(MemberError::BadAddress(address.to_owned())),
    }
}

/// A learner is added when it has caught up once, which takes as long as a snapshot of everything.
const CHANGE_WITHIN: Duration = Duration::from_secs(120);
const ASK_WITHIN: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_millis(100);

impl Engine {
    /// The cluster as this node sees it, answered without a quorum too: that is when it is asked for most.
    pub async fn cluster(&self) -> Result<ClusterView, Fault> {
        let core = &self.0.core;
        let lines = match core.leader() {
            Some(leader) => match core.ask(leader, &Request::Members, ASK_WITHIN).await {
                Some(Reply::Members { members }) => members,
                _ => core.member_lines(),
            },
            None => core.member_lines(),
        };
        Ok(self.view_of(lines))
    }

    /// The same without asking the leader how far the others are.
    pub fn cluster_here(&self) -> ClusterView {
        self.view_of(self.0.core.member_lines())
    }

    fn view_of(&self, mut lines: Vec<MemberLine>) -> ClusterView {
        let core = &self.0.core;
        let leadership = *core.raft.leadership().borrow();
        if !core.has_quorum() {
            // The table cannot be told any more who is down.
            lines.iter_mut().for_each(|line| line.up &= core.raft.is_reachable(line.node));
        }
        let mut members: Vec<MemberView> = lines.into_iter().map(|line| view(line, leadership.leader)).collect();
        members.sort_by_key(|member| member.node);
        ClusterView {
            node: core.cluster.node_id,
            leader: leadership.leader,
            term: leadership.term,
            standing: core.standing(),
            has_quorum: core.has_quorum(),
            level: core.host.table().level(),
            applied_index: core.raft.progress().applied_index,
            members,
        }
    }

    /// Adds a node without a vote; returns when it has caught up enough to answer.
    pub async fn add_member(&self, node: u64, address: String) -> Result<(), Fault> {
        self.change(Change::Add { node, address }).await
    }

    /// Gives a vote to a node that was added.
    pub async fn promote_member(&self, node: u64) -> Result<(), Fault> {
        self.change(Change::Promote { node }).await
    }

    /// Takes a node out of the cluster; its id may come back with an empty disk.
    pub async fn remove_member(&self, node: u64) -> Result<(), Fault> {
        self.change(Change::Remove { node }).await
    }

    /// Asks whoever leads, again while nobody does: a change of the voters may cost the leader its quorum for a moment.
    async fn change(&self, change: Change) -> Result<(), Fault> {
        let core = &self.0.core;
        core.check_standing()?;
        let until = core.clock.age() + core.cluster.no_quorum_after;
        let mut asked_before = false;
        loop {
            match self.change_once(change.clone()).await {
                Some(Reply::Changed) => return Ok(()),
                Some(Reply::Refused(error)) if asked_before && was_made(&change, &error) => return Ok(()),
                Some(Reply::Refused(error)) => return Err(error.into()),
                Some(Reply::NotLeader | Reply::NoQuorum | Reply::Busy) if core.clock.age() < until => {}
                Some(Reply::NotLeader | Reply::NoQuorum | Reply::Busy) => return Err(EngineError::NoQuorum.into()),
                _ => return Err(EngineError::OutcomeUnknown.into()),
            }
            asked_before = true;
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn change_once(&self, change: Change) -> Option<Reply> {
        let core = &self.0.core;
        match core.leader() {
            Some(leader) => core.ask(leader, &Request::Change(change), CHANGE_WITHIN).await,
            None if core.leads() => Some(core.change_members(change).await),
            None => Some(Reply::NoQuorum),
        }
    }
}

/// Whether a change that was asked for before is refused because it was made then, and only its answer was lost.
fn was_made(change: &Change, error: &MemberError) -> bool {
    match (change, error) {
        (Change::Add { node, address }, MemberError::AlreadyMember { node: known, address: at }) => {
            (node, address) == (known, at)
        }
        (Change::Promote { node }, MemberError::AlreadyVoter(known))
        | (Change::Remove { node }, MemberError::Unknown(known)) => node == known,
        _ => false,
    }
}

fn view(line: MemberLine, leader: Option<u64>) -> MemberView {
    let role = match line.voter {
        _ if leader == Some(line.node) => MemberRole::Leader,
        true => MemberRole::Follower,
        false => MemberRole::Learner,
    };
    MemberView { node: line.node, address: line.address, role, up: line.up, lag_entries: line.lag_entries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_urls_with_host_and_port() {
        for good in ["https://10.0.0.1:9443", "https://[::1]:1", "https://node-1.locks.svc:9443/"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        let bad =
            ["http://10.0.0.1:9443", "10.0.0.1:9443", "https://10.0.0.1", "https://h:0", "https://:1", "https://[h]:1"];
        for bad in bad.into_iter().chain(["https://h:70000", "https://h:1/x", "https://a b:1", "https://u@h:1", ""]) {
            assert_eq!(check_address(bad), Err(MemberError::BadAddress(bad.to_owned())), "{bad}");
        }
    }
}
