//! The one task that makes log entries: opens leaderships, drains what waits into batches, ticks when time is due.

use super::error::EngineError;
use super::intake::{Batch, BatchBounds};
use super::machine::Shared;
use super::raft::{Leadership, ProposeError, RaftNode};
use crate::domain::{
    Body, CommandId, Entry, FEATURE_LEVEL, Incarnation, LeaderStart, Limits, NodeId, StoreId, Submitted,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// While anything is pending the log hears of the time at least this often: the most that an outage adds to a lease
/// besides its own length.
const TICK_MAX: Duration = Duration::from_secs(1);

pub struct Proposer {
    pub shared: Arc<Shared>,
    pub raft: RaftNode,
    pub incarnation: Incarnation,
    pub first_token: u64,
    pub limits: Limits,
    pub bounds: BatchBounds,
    /// Whether this node leads behind its barrier.
    pub leading: watch::Sender<bool>,
    pub sequence: u64,
    pub epoch: u64,
}

impl Proposer {
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut leadership = self.raft.leadership();
        loop {
            let term = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                led = leadership.wait_for(|leadership| leadership.is_leader) => led.map(|leadership| leadership.term),
            };
            let Ok(term) = term else { break };
            if self.open_leadership().await {
                self.lead(&mut leadership, term, &mut stop).await;
            }
            self.close();
        }
        self.close();
    }

    /// The barrier: until this entry is applied here, nothing is stamped, read or judged.
    async fn open_leadership(&mut self) -> bool {
        let start = LeaderStart {
            first_token: self.first_token,
            limits: self.limits.clone(),
            node: NodeId(1),
            incarnation: self.incarnation,
            store: StoreId::UNKNOWN,
            level: FEATURE_LEVEL,
            confirm: false,
        };
        let at = self.shared.table().now();
        let entry = Entry { at, epoch: 0, body: Body::LeaderStart(start) };
        if let Err(error) = self.raft.propose(entry.encode()).await {
            tracing::warn!(%error, "a leadership could not be opened");
            return false;
        }
        let (epoch, now) = {
            let table = self.shared.table();
            (table.epoch(), table.now())
        };
        self.epoch = epoch;
        self.shared.clock.resume_at(now);
        self.shared.intake.set_open(true);
        self.leading.send_replace(true);
        tracing::info!(epoch, "leading");
        true
    }

    fn close(&mut self) {
        self.leading.send_replace(false);
        self.shared.intake.set_open(false);
    }

    async fn lead(
        &mut self,
        leadership: &mut watch::Receiver<Leadership>,
        term: u64,
        stop: &mut watch::Receiver<bool>,
    ) {
        let ended = |leadership: &Leadership| !leadership.is_leader || leadership.term != term;
        loop {
            let batch = self.shared.intake.next(self.bounds);
            let is_idle = batch.queued.is_empty() && !batch.more_touches && !self.tick_is_due();
            if !is_idle {
                if !self.propose(batch).await {
                    return;
                }
                continue;
            }
            self.keep_touches(batch);
            tokio::select! {
                biased;
                () = self.shared.intake.arrival() => {}
                () = tokio::time::sleep(self.until_tick()) => {
                    if !self.tick().await {
                        return;
                    }
                }
                () = wait_for(stop, |stop| *stop) => return,
                () = wait_for(leadership, ended) => return,
            }
        }
    }

    /// Sightings alone make no entry: they go out with the next.
    fn keep_touches(&self, batch: Batch) {
        batch.touches.into_iter().for_each(|session| self.shared.intake.touch(session));
    }

    fn tick_is_due(&self) -> bool {
        let next = self.shared.table().next_deadline();
        next.is_some_and(|deadline| deadline.is_past(self.shared.clock.now()))
    }

    fn until_tick(&self) -> Duration {
        let next = self.shared.table().next_deadline();
        next.map_or(Duration::MAX, |deadline| self.shared.clock.until_past(deadline).min(TICK_MAX))
    }

    async fn tick(&mut self) -> bool {
        let batch = self.shared.intake.next(self.bounds);
        self.propose(batch).await
    }

    /// Proposes one entry and waits until it is applied here; false when the leadership must be opened anew.
    async fn propose(&mut self, batch: Batch) -> bool {
        let first = self.sequence + 1;
        let count = batch.queued.len() as u64;
        self.sequence += count;
        let entry = self.entry(batch, first);
        let refused = &self.shared.refused_entry;
        let error = match self.raft.propose(entry.encode()).await {
            Ok(_) if !refused.load(Ordering::Acquire) => return true,
            Ok(_) => EngineError::NotLeader,
            Err(error) => {
                tracing::warn!(%error, "an entry was not committed");
                EngineError::from(error)
            }
        };
        self.shared.pending.fail(first..first + count, error);
        false
    }

    fn entry(&self, batch: Batch, first: u64) -> Entry {
        let mut commands = Vec::with_capacity(batch.queued.len());
        let answers = batch.queued.into_iter().zip(first..).filter_map(|(queued, sequence)| {
            let id = CommandId { incarnation: self.incarnation, sequence };
            commands.push(Submitted { id, command: queued.command });
            queued.answer.map(|answer| (sequence, answer))
        });
        self.shared.pending.register(answers);
        let body = Body::Batch { touches: batch.touches, more_touches: batch.more_touches, commands };
        Entry { at: self.shared.clock.now(), epoch: self.epoch, body }
    }
}

/// Waits until the watched value is so, or is watched no longer.
async fn wait_for<T>(watched: &mut watch::Receiver<T>, is_so: impl FnMut(&T) -> bool) {
    // The guard must not live on: it is not `Send`.
    drop(watched.wait_for(is_so).await);
}

impl From<ProposeError> for EngineError {
    fn from(error: ProposeError) -> EngineError {
        match error {
            ProposeError::NotLeader { .. } => EngineError::NotLeader,
            ProposeError::NoQuorum => EngineError::NoQuorum,
            ProposeError::OutcomeUnknown => EngineError::OutcomeUnknown,
            ProposeError::ShuttingDown => EngineError::ShuttingDown,
            ProposeError::StorageFailed => EngineError::StorageFailed,
        }
    }
}
