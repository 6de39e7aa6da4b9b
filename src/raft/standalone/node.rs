//! The order of the entries: each goes through the log into the machine, and then the next.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use openraft::CommittedLeaderId;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use crate::base::clock::process_age;
use crate::base::fatal::AbortOnPanic;
use crate::mutants::planted;
use crate::raft::error::{ProposeError, ReadError};
use crate::raft::leadership::Leadership;
use crate::raft::log::node_log::NodeLog;
use crate::raft::snapshot::store::SnapshotBuilder;
use crate::raft::state_machine::StateMachine;
use crate::raft::types::{EntryPayload, LogEntry, LogId, NodeId, StoredMembership};

/// Where a node without peers takes its next entry from.
pub trait EntrySource: Send + Sync + 'static {
    /// What waits to be proposed, as one entry. Called in the order of the log; must not panic.
    fn next(&self) -> Option<Bytes>;

    /// An entry of this source is applied, so long after it was taken.
    fn applied(&self, took: Duration);
}

/// A node without peers.
pub struct Standalone {
    pub id: NodeId,
    pub leadership: watch::Sender<Leadership>,
    /// `None` when the node has stopped.
    state: Mutex<Option<State>>,
    source: OnceLock<Arc<dyn EntrySource>>,
    /// The members as the log has them. Apart from the state, because the machine may ask while it is applied to.
    membership: Mutex<Arc<StoredMembership>>,
    /// Notified when a flush has ended.
    flush_ended: Notify,
    /// Calls of `append_pending` not yet handled.
    calls: AtomicUsize,
}

pub struct State {
    pub machine: StateMachine,
    pub log: NodeLog,
    /// The last entry that was appended.
    pub last: Option<LogId>,
    /// The leadership of this process, once it may write.
    pub leader: Option<CommittedLeaderId<NodeId>>,
    waiting: VecDeque<Proposal>,
    /// The entry whose flush is under way.
    in_flight: Option<(LogEntry, Requester)>,
    closed: bool,
}

/// What became an entry, or will.
struct Proposal {
    payload: EntryPayload,
    requester: Requester,
}

enum Requester {
    /// A task that waits for the index.
    Task(oneshot::Sender<u64>),
    /// The source, from which it was taken at this age of the process.
    Source(Duration),
}

impl State {
    pub fn new(machine: StateMachine, log: NodeLog, last: Option<LogId>) -> State {
        State { machine, log, last, leader: None, waiting: VecDeque::new(), in_flight: None, closed: false }
    }

    fn next(&mut self, source: Option<&Arc<dyn EntrySource>>) -> Option<Proposal> {
        if self.closed || self.in_flight.is_some() {
            return None;
        }
        if let Some(proposal) = self.waiting.pop_front() {
            return Some(proposal);
        }
        self.leader?;
        let payload = EntryPayload::Normal(source?.next()?);
        Some(Proposal { payload, requester: Requester::Source(process_age()) })
    }

    /// The first entry of a new log has the id that openraft gives it.
    fn next_id(&self) -> LogId {
        match (self.last, self.leader) {
            (None, None) => LogId::default(),
            (last, leader) => LogId::new(leader.unwrap_or_default(), last.map_or(0, |last| last.index + 1)),
        }
    }
}

impl Standalone {
    pub fn new(id: NodeId, state: State, leadership: Leadership) -> Standalone {
        let membership = Mutex::new(Arc::new(state.machine.membership().clone()));
        Standalone {
            id,
            membership,
            leadership: watch::Sender::new(leadership),
            state: Mutex::new(Some(state)),
            source: OnceLock::new(),
            flush_ended: Notify::new(),
            calls: AtomicUsize::new(0),
        }
    }

    /// Entries are taken from `source` from now on.
    pub fn set_source(&self, source: Arc<dyn EntrySource>) {
        // Set once, by the engine that has started this node.
        _ = self.source.set(source);
    }

    /// Appends what waits to the log, unless a flush is under way, whose end does it. Never waits for another thread that
    /// does the same: that one looks at the source once more.
    pub fn append_pending(self: &Arc<Self>) {
        if self.calls.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let _guard = AbortOnPanic("cannot take an entry into the log");
        let mut handled = 1;
        while handled > 0 {
            self.append_all();
            handled = self.calls.fetch_sub(handled, Ordering::AcqRel) - handled;
        }
    }

    fn append_all(self: &Arc<Self>) {
        let mut state = self.state.lock();
        while let Some(state) = state.as_mut()
            && let Some(proposal) = state.next(self.source.get())
        {
            self.append(state, proposal);
        }
    }

    fn append(self: &Arc<Self>, state: &mut State, proposal: Proposal) {
        let Proposal { payload, requester } = proposal;
        let entry = LogEntry { log_id: state.next_id(), payload };
        state.last = Some(entry.log_id);
        planted!("answer-before-flush" => {
            state.log.append(&entry, || ());
            return self.apply(state, entry, requester);
        });
        let this = self.clone();
        match state.log.append(&entry, move || this.flushed()) {
            true => state.in_flight = Some((entry, requester)),
            false => self.apply(state, entry, requester),
        }
    }

    /// The entry under way is on disk.
    fn flushed(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            let Some(state) = state.as_mut() else { return };
            if let Some((entry, requester)) = state.in_flight.take() {
                self.apply(state, entry, requester);
            }
        }
        self.flush_ended.notify_waiters();
        self.append_pending();
    }

    fn apply(&self, state: &mut State, entry: LogEntry, requester: Requester) {
        let index = entry.log_id.index;
        let changes_members = matches!(entry.payload, EntryPayload::Membership(_));
        state.machine.apply_entry(entry);
        if changes_members {
            *self.membership.lock() = Arc::new(state.machine.membership().clone());
        }
        state.machine.announce();
        match requester {
            Requester::Task(answer) => _ = answer.send(index),
            Requester::Source(began) => {
                let took = process_age().saturating_sub(began);
                self.source.get().inspect(|source| source.applied(took));
            }
        }
    }

    /// Proposes one entry; resolves with its index when it is applied.
    pub async fn propose(self: &Arc<Self>, payload: Bytes) -> Result<u64, ProposeError> {
        match self.with_state(|state| state.leader.is_some()) {
            Some(false) => Err(ProposeError::NoQuorum),
            _ => self.write(EntryPayload::Normal(payload)).await,
        }
    }

    /// Writes one entry, also before this node leads; resolves with its index when it is applied.
    pub async fn write(self: &Arc<Self>, payload: EntryPayload) -> Result<u64, ProposeError> {
        let (answer, applied) = oneshot::channel();
        match self.state.lock().as_mut() {
            Some(state) if !state.closed => {
                state.waiting.push_back(Proposal { payload, requester: Requester::Task(answer) });
            }
            _ => return Err(ProposeError::ShuttingDown),
        }
        self.append_pending();
        applied.await.map_err(|_| ProposeError::OutcomeUnknown)
    }

    /// The index of the last entry that is applied.
    pub fn read_index(&self) -> Result<u64, ReadError> {
        let read = self.with_state(|state| state.leader.and(state.machine.applied()));
        Ok(read.ok_or(ReadError::ShuttingDown)?.ok_or(ReadError::NoQuorum)?.index)
    }

    pub fn membership(&self) -> Arc<StoredMembership> {
        self.membership.lock().clone()
    }

    /// Freezes the machine's state after the last applied entry, for a snapshot; `None` when the node has stopped.
    pub fn snapshot_builder(&self) -> Option<SnapshotBuilder> {
        self.with_state(|state| state.machine.snapshot_builder())
    }

    pub fn log(&self) -> Option<NodeLog> {
        self.with_state(|state| state.log.clone())
    }

    /// From now on entries are written in this leadership.
    pub fn begin_leadership(&self, leader: CommittedLeaderId<NodeId>) {
        self.with_state(|state| state.leader = Some(leader));
    }

    fn with_state<T>(&self, read: impl FnOnce(&mut State) -> T) -> Option<T> {
        self.state.lock().as_mut().map(read)
    }

    /// Closes the stores at once. They are dropped without the lock, which the log's own thread may want.
    pub fn close(&self) {
        let state = self.state.lock().take();
        drop(state);
    }

    /// Stops when the flush under way has ended, and closes the stores.
    pub async fn shutdown(&self) {
        loop {
            let flush_ended = self.flush_ended.notified();
            let flushing = self.with_state(|state| {
                state.closed = true;
                state.waiting.clear();
                state.in_flight.is_some()
            });
            if !flushing.unwrap_or_default() {
                break;
            }
            flush_ended.await;
        }
        self.close();
        self.leadership.send_modify(|leadership| leadership.is_leader = false);
    }
}
