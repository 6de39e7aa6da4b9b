//! What the proposer works with, in every role of its node.

use super::unsettled_commands::UnsettledCommands;
use crate::base::histogram::Histogram;
use crate::domain::Limits;
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::command_queue::{BatchBounds, CommandQueue};
use crate::engine::digests::DigestLog;
use crate::engine::events::EventLog;
use crate::engine::members::{ClusterMembers, NodeHealth};
use crate::engine::table_host::TableHost;
use crate::raft::RaftNode;
use std::sync::Arc;
use std::time::Duration;

/// How finely waiting is counted: for requests without a leader or an outcome, and for silent nodes.
pub const TICK: Duration = Duration::from_millis(200);

pub struct Proposer {
    pub raft: RaftNode,
    pub host: Arc<TableHost>,
    pub queue: Arc<CommandQueue>,
    pub clock: Arc<ClusterClock>,
    pub health: Arc<NodeHealth>,
    pub members: Arc<ClusterMembers>,
    #[cfg_attr(
        not(feature = "mutants"),
        expect(dead_code, reason = "a planted bug applies entries before their commit")
    )]
    pub events: Arc<EventLog>,
    pub digests: Arc<DigestLog>,
    /// From proposing an entry until it is applied.
    pub commit_time: Arc<Histogram>,
    /// The limits that a leadership of this node puts into the table.
    pub limits: Limits,
    pub bounds: BatchBounds,
    /// A command that waits this long for a quorum is refused.
    pub no_quorum_after: Duration,
    /// A command that was handed on this long ago gets "outcome unknown".
    pub outcome_wait: Duration,
    pub unsettled: UnsettledCommands,
    /// The epoch of the last leadership of this node.
    pub epoch: u64,
}

impl Proposer {
    /// Counts one tick: requests that have waited too long are refused, or get "outcome unknown".
    pub fn count_waiting(&self) {
        let ticks = |bound: Duration| (bound.as_millis() / TICK.as_millis()).max(2) as u64 - 1;
        self.queue.tick(ticks(self.no_quorum_after));
        self.host.requests.tick(ticks(self.outcome_wait));
    }
}
