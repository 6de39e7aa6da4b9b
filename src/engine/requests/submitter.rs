//! Submits commands, and waits for their outcomes.

use crate::base::histogram::Histogram;
use crate::domain::{Command, Limits, Outcome, Refusal};
use crate::engine::answer::{AnswerReceiver, Answered};
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::command_queue::CommandQueue;
use crate::engine::disk_space::DiskSpace;
use crate::engine::error::{EngineError, Fault};
use crate::engine::members::NodeHealth;
use crate::engine::reads::TableReader;
use crate::engine::shutdown::Shutdown;
use crate::engine::table_host::TableHost;
use crate::raft::RaftNode;
use std::sync::Arc;
use std::time::Duration;

pub struct Submitter {
    pub raft: RaftNode,
    pub host: Arc<TableHost>,
    pub queue: Arc<CommandQueue>,
    pub clock: Arc<ClusterClock>,
    pub health: Arc<NodeHealth>,
    pub reader: Arc<TableReader>,
    pub disk_space: Arc<DiskSpace>,
    pub shutdown: Arc<Shutdown>,
    /// This node's own, from its configuration: see [`Submitter::limits`].
    pub configured_limits: Limits,
    pub session_idle_timeout: Duration,
    /// From asking for a lock until it was granted, or the wait for it ended.
    pub wait_time: Histogram,
}

impl Submitter {
    /// The limits in force. They are the table's, so that nodes with different files answer alike; this node's own only
    /// until a leader has opened the table.
    pub fn limits(&self) -> Limits {
        self.host.limits().unwrap_or(self.configured_limits)
    }

    /// Runs a command, unless the table shows that it would be refused.
    pub(super) async fn run(&self, command: Command) -> Result<Outcome, Fault> {
        self.refuse_early(&command).await?;
        Ok(self.propose(command).await?)
    }

    pub(super) async fn propose(&self, command: Command) -> Result<Outcome, EngineError> {
        let receiver = self.submit(command)?;
        self.take_turn().await;
        match receiver.await.unwrap_or(Err(EngineError::OutcomeUnknown))? {
            Answered::Outcome(outcome) => Ok(outcome),
            Answered::GrantedAfterWait { grant, .. } => Ok(Outcome::Acquired(grant)),
        }
    }

    pub(super) fn submit(&self, command: Command) -> Result<AnswerReceiver, EngineError> {
        self.health.check_may_serve()?;
        self.health.check_writable()?;
        self.queue.submit(command)
    }

    /// On a node without peers, takes what waits into the log: after the other requests that this thread has read, so that
    /// their commands share the entry and its flush.
    pub(super) async fn take_turn(&self) {
        if self.raft.has_no_peers() {
            let _turn = Turn(&self.raft);
            tokio::task::yield_now().await;
        }
    }
}

/// Takes what waits into the log when it ends, also where its request ends early.
struct Turn<'a>(&'a RaftNode);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.pump();
    }
}

/// A refusal, or an outcome that does not belong to the command, which is a bug.
pub(super) fn unexpected(outcome: Outcome) -> Fault {
    match outcome {
        Outcome::Refused(refusal) => refusal.into(),
        _ => Refusal::Broken("an outcome of another kind than the command").into(),
    }
}
