//! Submits commands, and waits for their outcomes. What would change nothing, and what finds no room in the table or on the
//! disk, is refused without a log entry.

use crate::base::histogram::Histogram;
use crate::base::{DrainPhase, OnDrop, TooFast};
use crate::domain::{Acquire, Command, Limits, Outcome, Refusal};
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::command_queue::{AnswerReceiver, Answered, CommandQueue};
use crate::engine::disk_space::DiskSpace;
use crate::engine::error::{EngineError, Fault};
use crate::engine::members::NodeHealth;
use crate::engine::options::EngineOptions;
use crate::engine::reads::{Consistency, TableReader};
use crate::engine::table_host::TableHost;
use crate::raft::RaftNode;
use std::sync::Arc;

pub struct Submitter {
    pub options: Arc<EngineOptions>,
    pub raft: RaftNode,
    pub host: Arc<TableHost>,
    pub queue: Arc<CommandQueue>,
    pub clock: Arc<ClusterClock>,
    pub health: Arc<NodeHealth>,
    pub reader: Arc<TableReader>,
    pub disk_space: Arc<DiskSpace>,
    /// From asking for a lock until it was granted, or the wait for it ended.
    pub wait_time: Histogram,
}

impl Submitter {
    pub fn limits(&self) -> Limits {
        let configured = &self.options.limits;
        self.host.limits().map_or(*configured, |limits| limits.with_later_of(configured))
    }

    /// Refuses what would be refused now, without an entry.
    pub async fn check(&self, command: Command) -> Result<(), Fault> {
        let command = if let Command::Acquire(acquire) = command { self.checked(acquire)? } else { command };
        self.preflight(&command).await
    }

    pub(super) fn check_pace(&self, acquire: &Acquire) -> Result<(), TooFast> {
        self.options.pace.as_ref().map_or(Ok(()), |pace| pace(acquire))
    }

    /// Runs a command, unless the table shows that it would be refused.
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps its argument twice")]
    pub(super) fn run(&self, command: Command) -> impl Future<Output = Result<Outcome, Fault>> {
        async move {
            self.preflight(&command).await?;
            Ok(self.propose(command).await?)
        }
    }

    pub(super) fn propose(&self, command: Command) -> impl Future<Output = Result<Outcome, EngineError>> {
        let submitted = self.submit(command);
        async {
            let receiver = submitted?;
            self.propose_if_standalone().await;
            match receiver.await.unwrap_or(Err(EngineError::OutcomeUnknown))? {
                Answered::Outcome(outcome) => Ok(outcome),
                Answered::GrantedAfterWait { grant, .. } => Ok(Outcome::Acquired(grant)),
            }
        }
    }

    pub(super) fn submit(&self, command: Command) -> Result<AnswerReceiver, EngineError> {
        self.health.check_may_serve()?;
        self.health.check_writable()?;
        self.queue.submit(command)
    }

    /// On a node without peers, takes what waits into the log: after the other requests that this thread has read, so that
    /// their commands share the entry and its flush.
    pub(super) async fn propose_if_standalone(&self) {
        if self.raft.has_no_peers() {
            // Also where the request ends early.
            let _append = OnDrop(|| self.raft.append_pending());
            tokio::task::yield_now().await;
        }
    }
}

impl Submitter {
    /// Refuses without an entry what would be refused, and as fresh as if it had one: the table that refuses has
    /// everything that was answered before this call, on any node. The session that asks counts as seen, as with an entry.
    pub(super) async fn preflight(&self, command: &Command) -> Result<(), Fault> {
        self.health.check_may_serve()?;
        match self.preflight_here(command)? {
            None => Ok(()),
            // In a box: otherwise every request would carry what only this path needs.
            Some(_) => Box::pin(self.refuse_after_barrier(command)).await,
        }
    }

    async fn refuse_after_barrier(&self, command: &Command) -> Result<(), Fault> {
        if let Some(session) = command.session() {
            self.touch_session(session).await?;
        }
        // Another node may have changed it meanwhile.
        self.reader.read_barrier(Consistency::Linearizable).await?;
        let Some(refusal) = self.host.table().preflight(command, self.clock.now()) else { return Ok(()) };
        let acquire = if let Command::Acquire(acquire) = command { Some(&**acquire) } else { None };
        self.host.note_preflight_refusal(&refusal, acquire);
        Err(refusal.into())
    }

    /// Also checks the name, under the same lock of the table.
    fn preflight_here(&self, command: &Command) -> Result<Option<Refusal>, Fault> {
        let table = self.host.table();
        if let Some(name) = command.name() {
            self.limits().check_name(name)?;
        }
        Ok(table.preflight(command, self.clock.now()))
    }
}

impl Submitter {
    /// New holds and sessions need a server that stays, a disk with free space, and room in the table.
    pub(super) fn check_capacity(&self, command: &Command) -> Result<(), Fault> {
        if self.options.drain.has_reached(DrainPhase::Closing) {
            return Err(EngineError::ShuttingDown.into());
        }
        self.health.check_writable()?;
        self.disk_space.check_free()?;
        let waiting_bytes = self.queue.reserved_bytes();
        if waiting_bytes == 0 {
            return Ok(());
        }
        let checked = self.host.table().check_room(command, waiting_bytes);
        checked.inspect_err(|refusal| self.host.counters.count_full(refusal)).map_err(Fault::from)
    }
}

/// A refusal, or an outcome that does not belong to the command, which is a bug.
pub(super) fn unexpected(outcome: Outcome) -> Fault {
    match outcome {
        Outcome::Refused(refusal) => refusal.into(),
        _ => Refusal::Broken("an outcome of another kind than the command").into(),
    }
}
