//! Membership changes: a node is added as a learner, and promoted to a voter when it has caught up. Only the leader changes
//! the membership; it completes what a former leader has left half done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::metrics::RaftServerMetrics;
use openraft::{BasicNode, ChangeMembers, ServerState};

use crate::raft::error::{MemberError, MembershipError};
use crate::raft::node::RaftNode;
use crate::raft::peers::hello::DialError;
use crate::raft::types::{NodeId, Raft};

/// A learner this close behind counts as caught up: new entries keep coming.
const CAUGHT_UP_ENTRIES: u64 = 64;

const REACHABLE_TIMEOUT: Duration = Duration::from_secs(2);
const RECHECK_DELAY: Duration = Duration::from_millis(20);
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// One node of the cluster, as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub node: u64,
    /// Empty if a node that runs alone has no address of its own.
    pub address: String,
    pub voter: bool,
    /// Up to where its log is known to match the leader's; known on the leader only.
    pub matched_index: Option<u64>,
}

type WriteError = RaftError<NodeId, ClientWriteError<NodeId, BasicNode>>;

impl RaftNode {
    /// The members as this node knows them, in order of their ids.
    pub fn members(&self) -> Vec<Member> {
        let membership = self.membership();
        let membership = membership.membership();
        let metrics = self.raft().map(|raft| raft.metrics());
        let metrics = metrics.as_ref().map(|metrics| metrics.borrow());
        let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
        let matched = |node: &NodeId| match &metrics {
            Some(metrics) => metrics.replication.as_ref()?.get(node)?.map(|id| id.index),
            None => (*node == self.id()).then(|| self.progress().last_log_index),
        };
        let member = |(node, basic): (&NodeId, &BasicNode)| Member {
            node: *node,
            address: basic.addr.clone(),
            voter: voters.contains(node),
            matched_index: matched(node),
        };
        membership.nodes().map(member).collect()
    }

    /// Whether a node is one of the members as this node knows them, with a vote or without.
    pub fn is_member(&self, node: u64) -> bool {
        self.membership().membership().get_node(&node).is_some()
    }

    /// Whether the cluster is this node alone: its own log is the quorum.
    pub fn is_alone(&self) -> bool {
        let Some(raft) = self.raft() else { return true };
        let metrics = raft.metrics();
        let metrics = metrics.borrow();
        let mut nodes = metrics.membership_config.nodes().map(|(node, _)| *node);
        nodes.next() == Some(self.id()) && nodes.next().is_none()
    }

    /// Adds a node as a learner, which gets the log and does not vote. Resolves when it has caught up; the caller may bound
    /// the wait.
    pub async fn add_learner(&self, node: u64, address: String) -> Result<(), MembershipError> {
        self.add(node, address, false).await
    }

    /// The same for a node that is known to have been a member: its log is a part of this one, or is truncated to be one.
    pub async fn add_former(&self, node: u64, address: String) -> Result<(), MembershipError> {
        self.add(node, address, true).await
    }

    async fn add(&self, node: u64, address: String, may_hold_data: bool) -> Result<(), MembershipError> {
        self.check_leads()?;
        if let Some(member) = self.members().into_iter().find(|member| member.node == node) {
            return Err(MemberError::AlreadyMember { node, address: member.address }.into());
        }
        self.check_newcomer(node, &address, may_hold_data).await?;
        self.publish_own_address().await?;
        let nodes = BTreeMap::from([(node, BasicNode { addr: address })]);
        self.change(ChangeMembers::AddNodes(nodes)).await?;
        self.caught_up(node).await
    }

    /// Gives a learner that has caught up a vote.
    pub async fn promote(&self, node: u64) -> Result<(), MembershipError> {
        self.check_leads()?;
        let member = self.member(node)?;
        if member.voter {
            return Err(MemberError::AlreadyVoter(node).into());
        }
        match self.lag(&member) {
            lag if lag > CAUGHT_UP_ENTRIES => Err(MemberError::NotCaughtUp { node, lag_entries: lag }.into()),
            _ => self.change(ChangeMembers::AddVoterIds(BTreeSet::from([node]))).await,
        }
    }

    /// Removes a node, voter or not; its id may come back with an empty store.
    pub async fn remove(&self, node: u64) -> Result<(), MembershipError> {
        self.check_leads()?;
        if !self.member(node)?.voter {
            return self.change(ChangeMembers::RemoveNodes(BTreeSet::from([node]))).await;
        }
        let left: Vec<Member> =
            self.members().into_iter().filter(|member| member.voter && member.node != node).collect();
        if left.is_empty() {
            return Err(MemberError::LastVoter(node).into());
        }
        let majority = tokio::time::timeout(REACHABLE_TIMEOUT, self.majority_of(&left));
        if majority.await.is_err() {
            return Err(MemberError::WouldLoseQuorum(node).into());
        }
        self.change(ChangeMembers::RemoveVoters(BTreeSet::from([node]))).await
    }

    /// Waits, because there may be no connection yet to a node that has just come back.
    async fn majority_of(&self, voters: &[Member]) {
        while voters.iter().filter(|member| self.is_reachable(member.node)).count() * 2 <= voters.len() {
            tokio::time::sleep(RECHECK_DELAY).await;
        }
    }

    /// A node that ran alone has never published its own address.
    async fn publish_own_address(&self) -> Result<(), MembershipError> {
        let addr = self.cluster().ok_or(MemberError::Alone)?.advertise.clone();
        match self.member(self.id()) {
            Ok(own) if own.address == addr => Ok(()),
            _ => self.change(ChangeMembers::SetNodes(BTreeMap::from([(self.id(), BasicNode { addr })]))).await,
        }
    }

    fn member(&self, node: u64) -> Result<Member, MembershipError> {
        self.members().into_iter().find(|member| member.node == node).ok_or(MemberError::Unknown(node).into())
    }

    fn lag(&self, member: &Member) -> u64 {
        let last = self.progress().last_log_index;
        last.saturating_sub(member.matched_index.unwrap_or(0))
    }

    async fn caught_up(&self, node: u64) -> Result<(), MembershipError> {
        let mut metrics = self.raft().ok_or(MemberError::Alone)?.metrics();
        let mut seen = false;
        loop {
            metrics.borrow_and_update();
            self.check_leads()?;
            match self.member(node) {
                Ok(member) if self.lag(&member) <= CAUGHT_UP_ENTRIES => return Ok(()),
                Ok(_) => seen = true,
                // The metrics may be a moment behind the change that has added it.
                Err(_) if !seen => {}
                Err(removed) => return Err(removed),
            }
            metrics.changed().await.map_err(|_| MembershipError::OutcomeUnknown)?;
        }
    }

    /// Whether the node answers on the present connection to it.
    pub fn is_reachable(&self, node: u64) -> bool {
        let up = || Some(self.peers()?.raft_connection(node, &self.address_of(node)?).is_up());
        node == self.id() || up().unwrap_or(false)
    }

    /// Refuses a node of another cluster: its other log, and perhaps a later term, would do harm.
    async fn check_newcomer(&self, node: u64, address: &str, may_hold_data: bool) -> Result<(), MembershipError> {
        let dialer = self.peers().ok_or(MemberError::Alone)?.dialer(node, address);
        let dialled = tokio::time::timeout(DIAL_TIMEOUT, dialer.dial()).await.unwrap_or(Err(DialError::Slow));
        let address = address.to_owned();
        match dialled {
            Ok((_, hello)) if hello.empty || may_hold_data => Ok(()),
            Ok(_) => Err(MembershipError::NotEmpty { node, address }),
            Err(error) => {
                let reason = format!("{error}; when it runs there, ask again: `latchd members add {node} {address}`");
                Err(MemberError::Unreachable { node, address, reason }.into())
            }
        }
    }

    fn check_leads(&self) -> Result<(), MembershipError> {
        let leadership = self.current_leadership();
        match leadership.leader {
            _ if leadership.is_leader => Ok(()),
            None => Err(MembershipError::NoQuorum),
            leader => Err(MembershipError::NotLeader { leader }),
        }
    }

    /// On a task of its own, because a change of voters takes two entries: a caller that gives up must not leave the
    /// cluster between them.
    async fn change(&self, change: ChangeMembers<NodeId, BasicNode>) -> Result<(), MembershipError> {
        let raft = self.raft().ok_or(MemberError::Alone)?.clone();
        let changed = tokio::spawn(async move { raft.change_membership(change, false).await });
        changed.await.map_err(|_| MembershipError::OutcomeUnknown)?.map(drop).map_err(not_changed)
    }
}

fn not_changed(error: WriteError) -> MembershipError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => {
            MembershipError::NotLeader { leader: to.leader_id }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::InProgress(_) => MemberError::Busy.into(),
            ChangeMembershipError::LearnerNotFound(missing) => MemberError::Unknown(missing.node_id).into(),
            ChangeMembershipError::EmptyMembership(_) => MembershipError::OutcomeUnknown,
        },
        RaftError::Fatal(_) => MembershipError::OutcomeUnknown,
    }
}

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
