//! Leading: opens the leadership, turns what waits into entries, and ticks when time is due.
//!
//! - A *term* is Raft's: it rises with every election, and at most one node leads in it.
//! - A *leadership* is the time in which one node proposes entries. It begins with a `LeaderStart` entry; one term may have
//!   several, because a proposal that fails begins a new one.
//! - The *epoch* is the number of that leadership in the table. Each entry names its epoch, and the table refuses those of
//!   an earlier one, so a former leader's late entries change nothing.

use super::state::{Proposer, TICK};
use crate::base::LogRateLimit;
use crate::base::clock;
use crate::domain::{Body, Entry, FEATURE_LEVEL, LeaderStart, NodeId, StoreId, Submitted};
use crate::engine::cluster_clock::first_token_of;
use crate::engine::command_queue::Batch;
use crate::engine::error::EngineError;
use crate::mutants::planted;
use crate::raft::{Leadership, ProposeError};
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::watch;

/// While anything is pending the log hears of the time at least this often: the most that an outage adds to a lease
/// besides its own length.
const TICK_MAX: Duration = Duration::from_secs(1);

/// Each attempt is repeated at once.
static NOT_COMMITTED: LogRateLimit = LogRateLimit::new(6);

impl Proposer {
    /// Returns when the leadership has ended, or must be opened anew.
    pub async fn lead(&mut self, term: u64) {
        let alone = self.health.is_alone();
        if self.open_leadership(alone).await {
            self.members.liveness.forget_all();
            self.queue.set_leading(Some(self.epoch));
            self.health.set_leads(true);
            self.host.slow_locks.set_leads(true);
            match self.standalone.clone() {
                Some(entries) => self.tick_while_leading(term, &entries).await,
                None => self.propose_while_leading(term, alone).await,
            }
            self.host.slow_locks.set_leads(false);
            self.health.set_leads(false);
            self.queue.set_leading(None);
        }
    }

    /// Until this entry is applied here, nothing is stamped, read or supervised.
    async fn open_leadership(&mut self, alone: bool) -> bool {
        let start = LeaderStart {
            first_token: first_token_of(self.host.table().epoch()),
            limits: self.options.limits,
            node: NodeId(self.health.node()),
            incarnation: self.unsettled.incarnation(),
            store: StoreId(self.raft.store_id()),
            level: FEATURE_LEVEL,
            confirm: !alone,
            quotas: self.options.quotas.clone(),
        };
        let at = self.host.table().now();
        let entry = Entry { at, epoch: 0, body: Body::LeaderStart(start) };
        let is_skipped = planted!("no-leader-start") && self.host.table().epoch() > 0;
        if !is_skipped && let Err(error) = self.commit(self.host.encode(entry)).await {
            if let Some(held_back) = NOT_COMMITTED.admit(clock::process_age()) {
                tracing::warn!(%error, held_back, "a leadership could not be opened");
            }
            return false;
        }
        let (epoch, now) = {
            let table = self.host.table();
            (table.epoch(), table.now())
        };
        self.epoch = epoch;
        self.clock.resume_at(now);
        // What this node proposed before is in the table, or was lost.
        self.clock.stamp_applied();
        tracing::info!(epoch, "this node leads");
        true
    }

    async fn propose_while_leading(&mut self, term: u64, alone: bool) {
        let mut leadership = self.raft.leadership();
        let ended = |leadership: &Leadership| !leadership.is_leader || leadership.term != term;
        let mut supervised = self.clock.age();
        let level = self.host.table().level();
        // The silence of nodes such as the former leader starts now.
        self.members.supervise(supervised);
        loop {
            if self.queue.is_transfer_requested() {
                return self.transfer_leadership(&mut leadership).await;
            }
            // Requests that are about to arrive come along: fewer entries, and no delay if there are none.
            tokio::task::yield_now().await;
            let batch = self.next_batch();
            let is_idle = !batch.has_commands() && self.unsettled.commands.is_empty() && !batch.more_touches;
            if !is_idle || self.tick_is_due() {
                if !self.propose(batch).await {
                    return;
                }
            } else {
                // Touches alone make no entry: they go out with the next one.
                batch.touches.into_iter().for_each(|session| self.queue.touch(session));
                let until = if alone { self.until_tick() } else { self.until_tick().min(TICK) };
                tokio::select! {
                    biased;
                    () = self.queue.arrival() => {}
                    () = tokio::time::sleep(until) => {}
                    _ = leadership.wait_for(ended) => return,
                }
            }
            let age = self.clock.age();
            if age.saturating_sub(supervised) >= TICK {
                supervised = age;
                // Both are part of the leadership: whether grants must be confirmed, and what it sets that older nodes do not know.
                if self.health.is_alone() != alone || self.host.table().level() != level {
                    return;
                }
                self.members.supervise(age);
            }
        }
    }

    /// Commands of a failed proposal go first and alone: they are older than anything that waits.
    fn next_batch(&mut self) -> Batch {
        if self.unsettled.commands.is_empty() { self.queue.next(self.bounds) } else { Batch::default() }
    }

    pub(super) fn tick_is_due(&self) -> bool {
        let next = self.host.table().next_deadline();
        next.is_some_and(|deadline| deadline.is_past(self.clock.now()))
            || self.ticked_long_ago()
            || self.comparison_is_due()
    }

    /// Deadlines are pending, and the last entry that carried the time is long ago.
    fn ticked_long_ago(&self) -> bool {
        let table = self.host.table();
        let silent = self.clock.now().since(table.now());
        silent >= TICK_MAX && table.next_deadline().is_some()
    }

    /// A cluster at rest compares its tables too.
    fn comparison_is_due(&self) -> bool {
        let now = self.clock.now();
        self.digests.begins_interval(self.host.table().now(), now) && !self.health.is_alone()
    }

    fn until_tick(&self) -> Duration {
        let next = self.host.table().next_deadline();
        next.map_or(Duration::MAX, |deadline| self.clock.until_past(deadline).min(TICK_MAX))
    }

    /// Proposes one entry and waits until it is applied here; false when the leadership must be opened anew.
    async fn propose(&mut self, batch: Batch) -> bool {
        let mut commands: Vec<Submitted> = self.unsettled.commands.drain(..).collect();
        let again = commands.len();
        let leaders_own = batch.leaders_own.len();
        let first_of_leader = self.unsettled.next_sequence();
        self.unsettled.number(batch.leaders_own, &mut commands);
        self.host.requests.forwarded_traces.handed_on(&batch.forwarded);
        commands.extend(batch.forwarded);
        self.unsettled.number(batch.queued, &mut commands);
        let body = Body::Batch { touches: batch.touches, more_touches: batch.more_touches, commands };
        let entry = Entry { at: self.clock.stamp(), epoch: self.epoch, body };
        let payload = self.host.encode(entry);
        planted!("answer-before-commit" => return self.answer_before_commit(payload));
        let committed = self.commit(payload.clone()).await.inspect(|()| self.clock.stamp_applied());
        let error = match committed {
            Ok(()) if !self.host.has_refused_entry() => return true,
            Ok(()) => EngineError::NotLeader,
            Err(error) => {
                if let Some(held_back) = NOT_COMMITTED.admit(clock::process_age()) {
                    tracing::warn!(%error, held_back, "an entry was not committed");
                }
                EngineError::from(error)
            }
        };
        let Ok(Entry { body: Body::Batch { mut commands, .. }, .. }) = Entry::decode(&payload) else { return false };
        // The leader's own commands end with this leadership.
        commands.drain(again..again + leaders_own);
        let leaders = first_of_leader..first_of_leader + leaders_own as u64;
        self.host.requests.fail(leaders, EngineError::OutcomeUnknown);
        self.keep_unsettled(commands, error);
        false
    }

    /// Commands whose outcome was not seen are sent again under the same numbers, unless the node is about to end.
    fn keep_unsettled(&mut self, commands: Vec<Submitted>, error: EngineError) {
        if matches!(error, EngineError::ShuttingDown | EngineError::StorageFailed) {
            let own = commands.iter().filter(|submitted| submitted.id.incarnation == self.unsettled.incarnation());
            self.host.requests.fail(own.map(|submitted| submitted.id.sequence), error);
            return;
        }
        self.unsettled.commands = commands.into();
        self.unsettled.forget_settled();
    }

    /// Waits for the log, and counts meanwhile how long others wait behind it.
    async fn commit(&self, payload: Bytes) -> Result<(), ProposeError> {
        let mut proposal = std::pin::pin!(self.raft.propose(payload));
        let leadership = self.raft.leadership();
        let began = self.clock.age();
        loop {
            tokio::select! {
                biased;
                applied = &mut proposal => {
                    self.commit_time.observe_duration(self.clock.age().saturating_sub(began));
                    return applied.map(|_| ());
                }
                () = tokio::time::sleep(TICK) => self.count_waiting(),
            }
            // Once another node leads, the answer may never come.
            if !leadership.borrow().is_leader {
                return Err(ProposeError::OutcomeUnknown);
            }
        }
    }

    /// A planted bug.
    #[cfg(feature = "mutants")]
    fn answer_before_commit(&mut self, payload: Bytes) -> bool {
        let raft = self.raft.clone();
        let applied = self.host.apply(raft.progress().last_log_index + 1, &payload);
        self.events.append(applied.event_index, applied.events);
        drop(tokio::spawn(async move { raft.propose(payload).await }));
        true
    }

    /// Proposes nothing while another node takes over; if none does, this one goes on.
    async fn transfer_leadership(&mut self, leadership: &mut watch::Receiver<Leadership>) {
        self.health.set_leads(false);
        self.queue.set_leading(None);
        if let Err(error) = self.raft.transfer_leadership().await {
            tracing::warn!(%error, "the leadership was not transferred");
        }
        self.queue.clear_transfer_request();
        // The watch may be a moment behind.
        let over = leadership.wait_for(|leadership| !leadership.is_leader);
        drop(tokio::time::timeout(TICK, over).await);
    }
}
