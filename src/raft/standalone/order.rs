//! The order of the entries, and their way through the log into the machine.

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
use crate::raft::snapshot::store::SnapshotBuilder;
use crate::raft::standalone::log::StandaloneLog;
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
    order: Mutex<Option<Order>>,
    source: OnceLock<Arc<dyn EntrySource>>,
    /// The members as the log has them. Apart from the order, because the machine may ask while it is applied to.
    membership: Mutex<Arc<StoredMembership>>,
    /// Notified when a flush has ended.
    landed: Notify,
    /// Calls of `pump` that were not answered yet by a look at the source.
    pumps: AtomicUsize,
}

pub struct Order {
    pub machine: StateMachine,
    pub log: StandaloneLog,
    /// The last entry that was appended.
    pub last: Option<LogId>,
    /// The leadership of this process, once it may write.
    pub leader: Option<CommittedLeaderId<NodeId>>,
    waiting: VecDeque<Proposal>,
    /// The entry whose flush is under way.
    in_flight: Option<(LogEntry, Origin)>,
    closed: bool,
}

/// What became an entry, or will.
struct Proposal {
    payload: EntryPayload,
    origin: Origin,
}

enum Origin {
    /// Proposed by name: a task waits for its index.
    Proposed(oneshot::Sender<u64>),
    /// Taken from the source at this age of the process.
    Source(Duration),
}

impl Order {
    pub fn new(machine: StateMachine, log: StandaloneLog, last: Option<LogId>) -> Order {
        Order { machine, log, last, leader: None, waiting: VecDeque::new(), in_flight: None, closed: false }
    }

    fn next(&mut self, source: Option<&Arc<dyn EntrySource>>) -> Option<Proposal> {
        if self.closed || self.in_flight.is_some() {
            return None;
        }
        if let Some(proposal) = self.waiting.pop_front() {
            return Some(proposal);
        }
        self.leader?;
        let began = process_age();
        let payload = source?.next()?;
        Some(Proposal { payload: EntryPayload::Normal(payload), origin: Origin::Source(began) })
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
    pub fn new(id: NodeId, order: Order, leadership: Leadership) -> Standalone {
        let membership = Mutex::new(Arc::new(order.machine.membership().clone()));
        Standalone {
            id,
            membership,
            leadership: watch::Sender::new(leadership),
            order: Mutex::new(Some(order)),
            source: OnceLock::new(),
            landed: Notify::new(),
            pumps: AtomicUsize::new(0),
        }
    }

    /// Entries are taken from `source` from now on.
    pub fn set_source(&self, source: Arc<dyn EntrySource>) {
        // Set once, by the engine that has started this node.
        _ = self.source.set(source);
    }

    /// Takes what waits into the log, unless a flush is under way, whose end does it. Never waits for another thread that
    /// does the same: that one looks at the source once more.
    pub fn pump(self: &Arc<Self>) {
        if self.pumps.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let _guard = AbortOnPanic("cannot take an entry into the log");
        let mut answered = 1;
        while answered > 0 {
            self.take_waiting();
            answered = self.pumps.fetch_sub(answered, Ordering::AcqRel) - answered;
        }
    }

    fn take_waiting(self: &Arc<Self>) {
        let mut order = self.order.lock();
        while let Some(order) = order.as_mut()
            && let Some(proposal) = order.next(self.source.get())
        {
            self.append(order, proposal);
        }
    }

    fn append(self: &Arc<Self>, order: &mut Order, proposal: Proposal) {
        let Proposal { payload, origin } = proposal;
        let entry = LogEntry { log_id: order.next_id(), payload };
        order.last = Some(entry.log_id);
        planted!("answer-before-flush" => return self.apply_unflushed(order, entry, origin));
        let this = self.clone();
        match order.log.append(&entry, move || this.flushed()) {
            true => order.in_flight = Some((entry, origin)),
            false => self.apply(order, entry, origin),
        }
    }

    /// A planted bug.
    #[cfg(feature = "mutants")]
    fn apply_unflushed(&self, order: &mut Order, entry: LogEntry, origin: Origin) {
        order.log.append(&entry, || ());
        self.apply(order, entry, origin);
    }

    /// The entry under way is on disk.
    fn flushed(self: &Arc<Self>) {
        {
            let mut order = self.order.lock();
            let Some(order) = order.as_mut() else { return };
            if let Some((entry, origin)) = order.in_flight.take() {
                self.apply(order, entry, origin);
            }
        }
        self.landed.notify_waiters();
        self.pump();
    }

    fn apply(&self, order: &mut Order, entry: LogEntry, origin: Origin) {
        let index = entry.log_id.index;
        let changes_members = matches!(entry.payload, EntryPayload::Membership(_));
        order.machine.apply_entry(entry);
        if changes_members {
            *self.membership.lock() = Arc::new(order.machine.membership().clone());
        }
        order.machine.announce();
        match origin {
            Origin::Proposed(answer) => _ = answer.send(index),
            Origin::Source(began) => {
                let took = process_age().saturating_sub(began);
                self.source.get().inspect(|source| source.applied(took));
            }
        }
    }

    /// Proposes one entry; resolves with its index when it is applied.
    pub async fn propose(self: &Arc<Self>, payload: Bytes) -> Result<u64, ProposeError> {
        match self.with_order(|order| order.leader.is_some()) {
            Some(false) => Err(ProposeError::NoQuorum),
            _ => self.write(EntryPayload::Normal(payload)).await,
        }
    }

    /// Writes one entry, also before this node leads; resolves with its index when it is applied.
    pub async fn write(self: &Arc<Self>, payload: EntryPayload) -> Result<u64, ProposeError> {
        let (answer, applied) = oneshot::channel();
        match self.order.lock().as_mut() {
            Some(order) if !order.closed => {
                order.waiting.push_back(Proposal { payload, origin: Origin::Proposed(answer) });
            }
            _ => return Err(ProposeError::ShuttingDown),
        }
        self.pump();
        applied.await.map_err(|_| ProposeError::OutcomeUnknown)
    }

    /// The index of the last entry that is applied.
    pub fn read_index(&self) -> Result<u64, ReadError> {
        let read = self.with_order(|order| order.leader.and(order.machine.applied()));
        Ok(read.ok_or(ReadError::ShuttingDown)?.ok_or(ReadError::NoQuorum)?.index)
    }

    pub fn membership(&self) -> Arc<StoredMembership> {
        self.membership.lock().clone()
    }

    /// Freezes the state up to the last applied entry, for a snapshot; `None` when the node has stopped.
    pub fn snapshot_builder(&self) -> Option<SnapshotBuilder> {
        self.with_order(|order| order.machine.snapshot_builder())
    }

    /// The last entry that is no longer in the log.
    pub fn purged_index(&self) -> Option<u64> {
        self.with_order(|order| order.log.purged_index()).flatten()
    }

    pub fn log(&self) -> Option<StandaloneLog> {
        self.with_order(|order| order.log.clone())
    }

    /// From now on entries are written in this leadership.
    pub fn begin_leadership(&self, leader: CommittedLeaderId<NodeId>) {
        self.with_order(|order| order.leader = Some(leader));
    }

    fn with_order<T>(&self, read: impl FnOnce(&mut Order) -> T) -> Option<T> {
        self.order.lock().as_mut().map(read)
    }

    /// Closes the stores at once. They are dropped without the lock, which the log's own thread may want.
    pub fn close(&self) {
        let order = self.order.lock().take();
        drop(order);
    }

    /// Stops when the flush under way has ended, and closes the stores.
    pub async fn shutdown(&self) {
        loop {
            let landed = self.landed.notified();
            let flushing = self.with_order(|order| {
                order.closed = true;
                order.waiting.clear();
                order.in_flight.is_some()
            });
            if !flushing.unwrap_or_default() {
                break;
            }
            landed.await;
        }
        self.close();
        self.leadership.send_modify(|leadership| leadership.is_leader = false);
    }
}
