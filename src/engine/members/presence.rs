//! How the nodes know of each other: each presents itself to the leader, which declares silent ones down and raises the feature
//! level when all support it; and a node finds out that it was removed, although no node sends it the log entry that says so.
//!
//! While a node follows a leader, the leader tells it. Otherwise, as after a restart, it asks every node that it knows of.

use super::cluster_members::ClusterMembers;
use super::node_health::MembershipChange;
use crate::base::{KeyedLogRateLimit, clock};
use crate::domain::{Command, FEATURE_LEVEL, Feature, Incarnation, Limits, NodeId, Outcome, Quotas, Refusal, StoreId};
use crate::engine::EngineOptions;
use crate::engine::command_queue::Answered;
use crate::engine::error::EngineError;
use crate::engine::events::EventLog;
use crate::engine::messages::{ASK_TIMEOUT, Reply, Request, ask_at};
use crate::raft::NodeState;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long the log may take to record a node before that node has to ask again.
const RECORD_TIMEOUT: Duration = Duration::from_millis(400);

/// Programs of a lower level do not know [`Reply::NotMember`].
const LEVEL_OF_NOT_MEMBER: u32 = 4;

/// Another node causes these lines, as often as it likes.
static HEARD: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);

impl ClusterMembers {
    /// A former member may do nothing here: the log does not reach it.
    pub fn answer_non_member(&self, from: u64, request: &Request) -> Reply {
        match request {
            // A leader that was deposed and does not know it must not say who is a member.
            _ if !self.health.has_quorum() => Reply::NoQuorum,
            Request::Present { level, .. } if *level < LEVEL_OF_NOT_MEMBER => {
                Reply::NotAccepted { reason: NodeState::Removed { node: from }.to_string() }
            }
            Request::Present { .. } => Reply::NotMember,
            _ => Reply::NotLeader,
        }
    }

    /// Answers a member that presents itself to this leader.
    pub async fn present(&self, from: u64, incarnation: Incarnation, store: StoreId, level: u32) -> Reply {
        if !self.health.has_quorum() {
            return Reply::NoQuorum;
        }
        self.note_heard(from);
        let node = NodeId(from);
        let is_recorded = self.host.table().nodes().get(&node).is_some_and(|record| {
            record.up && (record.incarnation, record.store, record.level) == (incarnation, store, level)
        });
        if !is_recorded {
            if let Err(reply) = self.record(Command::NodeUp { node, incarnation, store, level }).await {
                return reply;
            }
            if let Some(held_back) = HEARD.admit(from, clock::process_age()) {
                tracing::info!(node = from, level, held_back, "node {from} is heard");
            }
        }
        match self.queue.leading() {
            Some(epoch) => Reply::Accepted { epoch, now: self.clock.now() },
            None => Reply::NotLeader,
        }
    }

    pub fn note_heard(&self, from: u64) {
        self.liveness.note(from, self.clock.age());
    }

    /// Has the log record a fact about a node.
    pub(super) async fn record(&self, fact: Command) -> Result<(), Reply> {
        let applied = self.queue.submit_as_leader(fact).map_err(|_| Reply::NotLeader)?;
        match tokio::time::timeout(RECORD_TIMEOUT, applied).await {
            Ok(Ok(Ok(Answered::Outcome(Outcome::Refused(refusal))))) => {
                Err(Reply::NotAccepted { reason: reason_of(&refusal) })
            }
            Ok(Ok(Ok(_))) => Ok(()),
            _ => Err(Reply::NoQuorum),
        }
    }
}

fn reason_of(refusal: &Refusal) -> String {
    match refusal {
        Refusal::StoreMismatch => {
            "this node id is known with another data directory: if its disk was lost, remove it with `latchd members \
             remove`, then add it again"
                .to_owned()
        }
        _ => "the leader's table has no place for another node".to_owned(),
    }
}

/// Each attempt is repeated at once, and would log a line.
static DOWN: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);

impl ClusterMembers {
    /// Declares nodes down that have been silent for too long, and raises the feature level when all support it.
    pub fn supervise(&self, age: Duration) {
        let up = self.other_nodes_that_are_up();
        for node in self.liveness.silent(up.keys().copied(), age, self.options.cluster.node_down_after) {
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
            let (limits, quotas) = (limits_of_level(level, &self.options), quotas_of_level(level, &self.options));
            drop(self.queue.submit_as_leader(Command::RaiseLevel { level, limits, quotas }));
        }
    }
}

/// Nodes below the level of modes could not read any, and others not those of a later level.
fn limits_of_level(level: u32, options: &EngineOptions) -> Option<Box<Limits>> {
    (level >= Feature::Modes as u32).then(|| Box::new(options.limits.for_level(level)))
}

fn quotas_of_level(level: u32, options: &EngineOptions) -> Option<Arc<Quotas>> {
    options.quotas.clone().filter(|_| level >= Feature::Quotas as u32)
}

const CHECK_EVERY: Duration = Duration::from_millis(500);

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
            match ask_at(&self.raft, node, &address, &request, ASK_TIMEOUT).await {
                Some(Reply::NotMember) => return self.raft.set_removed(true),
                Some(Reply::Accepted { .. }) => return self.raft.set_removed(false),
                _ => {}
            }
        }
    }
}

/// Follows the state of this node: when it is removed, nothing that waits here can be answered any more. Runs until consensus
/// is gone.
pub async fn watch_node_state(members: Arc<ClusterMembers>, events: Arc<EventLog>) {
    let mut states = members.raft.state();
    loop {
        let state = states.borrow_and_update().clone();
        match members.health.note_state(&state) {
            Some(MembershipChange::Removed) => {
                tracing::error!("{state}");
                let error = EngineError::Removed(members.health.node());
                members.queue.refuse_waiting(error);
                members.host.requests.abandon(error);
                events.wake();
            }
            Some(MembershipChange::AddedAgain) => tracing::info!("this node is a member of its cluster again"),
            None => {}
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}
