//! Leading: opens the leadership, drains what waits into entries, ticks when time is due, judges silent nodes.

use super::command_queue::Batch;
use super::driver::{Driver, TICK};
use super::error::EngineError;
use super::first_token::first_token_of;
use super::state_machine::StateMachine;
use crate::base::clock;
use crate::base::{KeyedLogRateLimit, LogRateLimit};
use crate::domain::{Body, Command, Entry, FEATURE_LEVEL, Incarnation, LeaderStart, NodeId, StoreId, Submitted};
use crate::mutants;
use crate::raft::{Machine, ProposeError};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// While anything is pending the log hears of the time at least this often: the most that an outage adds to a lease
/// besides its own length.
const TICK_MAX: Duration = Duration::from_secs(1);

/// Each is tried again at once.
static DOWN: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);
static NOT_COMMITTED: LogRateLimit = LogRateLimit::new(6);

impl Driver {
    /// Returns when the leadership has ended, or must be opened anew.
    pub async fn lead(&mut self, term: u64) {
        let alone = self.core.is_alone();
        if self.open_leadership(alone).await {
            self.core.heard.forget_all();
            self.core.queue.set_leading(Some(self.epoch));
            self.core.leads.send_replace(true);
            self.propose_while_leading(term, alone).await;
            self.core.leads.send_replace(false);
            self.core.queue.set_leading(None);
        }
    }

    /// The barrier: until this entry is applied here, nothing is stamped, read or judged.
    async fn open_leadership(&mut self, alone: bool) -> bool {
        let start = LeaderStart {
            first_token: first_token_of(self.core.host.table().epoch()),
            limits: self.limits,
            node: NodeId(self.core.cluster.node_id),
            incarnation: self.core.incarnation,
            store: StoreId(self.core.raft.store_id()),
            level: FEATURE_LEVEL,
            confirm: !alone,
        };
        let at = self.core.host.table().now();
        let entry = Entry { at, epoch: 0, body: Body::LeaderStart(start) };
        let is_skipped = mutants::on("no-leader-start") && self.core.host.table().epoch() > 0;
        if !is_skipped && let Err(error) = self.commit(self.core.host.encode(entry)).await {
            if let Some(held_back) = NOT_COMMITTED.admit(clock::process_age()) {
                tracing::warn!(%error, held_back, "a leadership could not be opened");
            }
            return false;
        }
        let (epoch, now) = {
            let table = self.core.host.table();
            (table.epoch(), table.now())
        };
        self.epoch = epoch;
        self.core.clock.resume_at(now);
        tracing::info!(epoch, "this node leads");
        true
    }

    async fn propose_while_leading(&mut self, term: u64, alone: bool) {
        let mut leadership = self.core.raft.leadership();
        let ended = |leadership: &crate::raft::Leadership| !leadership.is_leader || leadership.term != term;
        let core = self.core.clone();
        let mut judged = core.clock.age();
        let knew_callers = core.host.table().records_callers();
        // Whoever is silent from now on, such as the leader before, is so from now on.
        self.judge_nodes(judged);
        loop {
            if self.core.queue.is_transfer_requested() {
                return self.hand_over(&mut leadership).await;
            }
            // Requests that are ready to be worked on come along: fewer entries, and no wait where there are none.
            tokio::task::yield_now().await;
            let batch = self.next_batch();
            let is_idle = !batch.has_commands() && self.unsettled.is_empty() && !batch.more_touches;
            if !is_idle || self.tick_is_due() {
                if !self.propose(batch).await {
                    return;
                }
            } else {
                // Sightings alone make no entry: they go out with the next.
                batch.touches.into_iter().for_each(|session| core.queue.touch(session));
                let until = if alone { self.until_tick() } else { self.until_tick().min(TICK) };
                tokio::select! {
                    biased;
                    () = core.queue.arrival() => {}
                    () = tokio::time::sleep(until) => {}
                    _ = leadership.wait_for(ended) => return,
                }
            }
            let age = core.clock.age();
            if age.saturating_sub(judged) >= TICK {
                judged = age;
                // Whether grants must be confirmed is part of the leadership, and so are bounds that older nodes did not know.
                if core.is_alone() != alone || core.host.table().records_callers() != knew_callers {
                    return;
                }
                self.judge_nodes(age);
            }
        }
    }

    /// What failed before goes first, alone: its order is older than anything that waits.
    fn next_batch(&mut self) -> Batch {
        if self.unsettled.is_empty() { self.core.queue.next(self.bounds) } else { Batch::default() }
    }

    fn tick_is_due(&self) -> bool {
        let next = self.core.host.table().next_deadline();
        next.is_some_and(|deadline| deadline.is_past(self.core.clock.now()))
            || self.ticked_long_ago()
            || self.is_to_compare()
    }

    /// Deadlines are pending, and the log has not heard of the time for long.
    fn ticked_long_ago(&self) -> bool {
        let table = self.core.host.table();
        let silent = self.core.clock.now().since(table.now());
        silent >= TICK_MAX && table.next_deadline().is_some()
    }

    /// Also a cluster at rest compares its tables.
    fn is_to_compare(&self) -> bool {
        let now = self.core.clock.now();
        self.core.comparing.begins_span(self.core.host.table().now(), now) && !self.core.is_alone()
    }

    fn until_tick(&self) -> Duration {
        let next = self.core.host.table().next_deadline();
        next.map_or(Duration::MAX, |deadline| self.core.clock.until_past(deadline).min(TICK_MAX))
    }

    /// Proposes one entry and waits until it is applied here; false when the leadership must be opened anew.
    async fn propose(&mut self, batch: Batch) -> bool {
        let mut commands: Vec<Submitted> = self.unsettled.drain(..).collect();
        let again = commands.len();
        let leaders_own = batch.leaders_own.len();
        let first_of_leader = self.sequence + 1;
        self.number(batch.leaders_own, &mut commands);
        commands.extend(batch.forwarded);
        self.number(batch.queued, &mut commands);
        let body = Body::Batch { touches: batch.touches, more_touches: batch.more_touches, commands };
        let entry = Entry { at: self.core.clock.now(), epoch: self.epoch, body };
        let payload = self.core.host.encode(entry);
        if mutants::on("answer-before-commit") {
            let raft = self.core.raft.clone();
            let core = &self.core;
            let (host, events, comparing) = (core.host.clone(), core.events.clone(), core.comparing.clone());
            StateMachine { host, events, comparing }.apply(raft.progress().last_log_index + 1, &payload);
            drop(tokio::spawn(async move { raft.propose(payload).await }));
            return true;
        }
        let error = match self.commit(payload.clone()).await {
            Ok(()) if !self.core.host.has_refused_entry() => return true,
            Ok(()) => EngineError::NotLeader,
            Err(error) => {
                if let Some(held_back) = NOT_COMMITTED.admit(clock::process_age()) {
                    tracing::warn!(%error, held_back, "an entry was not committed");
                }
                EngineError::from(error)
            }
        };
        let Ok(Entry { body: Body::Batch { mut commands, .. }, .. }) = Entry::decode(&payload) else { return false };
        // What only this leadership asked ends with it.
        commands.drain(again..again + leaders_own);
        let leaders = first_of_leader..first_of_leader + leaders_own as u64;
        self.core.host.requests.fail(leaders, EngineError::OutcomeUnknown);
        self.keep_unsettled(commands, error);
        false
    }

    /// What was not seen to end is sent again under the same numbers, unless the node ends and nobody could.
    fn keep_unsettled(&mut self, commands: Vec<Submitted>, error: EngineError) {
        if matches!(error, EngineError::ShuttingDown | EngineError::StorageFailed) {
            let own = commands.iter().filter(|submitted| submitted.id.incarnation == self.core.incarnation);
            self.core.host.requests.fail(own.map(|submitted| submitted.id.sequence), error);
            return;
        }
        self.unsettled = commands.into();
        self.forget_settled();
    }

    /// Waits for the log, and meanwhile counts how long others wait behind it.
    async fn commit(&self, payload: Bytes) -> Result<(), ProposeError> {
        let mut proposal = std::pin::pin!(self.core.raft.propose(payload));
        let leadership = self.core.raft.leadership();
        let clock = &self.core.clock;
        let began = clock.age();
        loop {
            tokio::select! {
                biased;
                applied = &mut proposal => {
                    self.core.timings.commit.observe_duration(clock.age().saturating_sub(began));
                    return applied.map(|_| ());
                }
                () = tokio::time::sleep(TICK) => self.count_waiting(),
            }
            // The answer of a log that another leads may never come.
            if !leadership.borrow().is_leader {
                return Err(ProposeError::OutcomeUnknown);
            }
        }
    }

    /// Declares nodes down that have not been heard for long, and raises the feature level when all support it.
    fn judge_nodes(&self, age: Duration) {
        let core = &self.core;
        let up: BTreeMap<u64, Incarnation> = {
            let table = core.host.table();
            let others = table.nodes().iter().filter(|(node, record)| record.up && node.0 != core.cluster.node_id);
            others.map(|(node, record)| (node.0, record.incarnation)).collect()
        };
        for node in core.heard.silent(up.keys().copied(), age, core.cluster.node_down_after) {
            if let Some(held_back) = DOWN.admit(node, clock::process_age()) {
                tracing::warn!(node, held_back, "a node is not heard any more: it is declared down");
            }
            let down = Command::NodeDown { node: NodeId(node), incarnation: up[&node] };
            drop(core.queue.submit_as_leader(down));
        }
        self.raise_level();
    }

    fn raise_level(&self) {
        let table = self.core.host.table();
        let members = self.core.raft.members();
        let supported =
            members.iter().map(|member| table.nodes().get(&NodeId(member.node)).map_or(0, |record| record.level));
        let level = supported.min().unwrap_or(0).min(FEATURE_LEVEL);
        if level > table.level() {
            drop(table);
            tracing::info!(level, "every member supports a higher feature level: it is raised");
            drop(self.core.queue.submit_as_leader(Command::RaiseLevel { level }));
        }
    }

    /// Nothing is proposed while another node takes over; if none does, this one goes on.
    async fn hand_over(&mut self, leadership: &mut tokio::sync::watch::Receiver<crate::raft::Leadership>) {
        self.core.leads.send_replace(false);
        self.core.queue.set_leading(None);
        if let Err(error) = self.core.raft.transfer_leadership().await {
            tracing::warn!(%error, "the leadership was not handed over");
        }
        self.core.queue.clear_transfer_request();
        // The watch may be a moment behind.
        let over = leadership.wait_for(|leadership| !leadership.is_leader);
        drop(tokio::time::timeout(TICK, over).await);
    }
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
