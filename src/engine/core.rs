//! What the tasks and requests of one engine share.

use super::cluster::ClusterOptions;
use super::cluster::nodes::Heard;
use super::cluster::reads::Reads;
use super::cluster::wire::{Reply, Request};
use super::cluster_clock::ClusterClock;
use super::command_queue::CommandQueue;
use super::compare::{Ballots, Comparing};
use super::error::EngineError;
use super::events::{EventId, EventLog};
use super::table_host::TableHost;
use super::timings::Timings;
use crate::base::KeyedLogRateLimit;
use crate::base::clock;
use crate::domain::{Incarnation, Table};
use crate::raft::{DivergedNode, NodeState, RaftNode, RemovedNode, WipedNode};
use parking_lot::RwLockReadGuard;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// A leader whose quorum has not answered for this long, or a follower that has not heard such a leader for this
/// long, is not ready: two missed rounds of presenting itself.
const CONTACT_FRESH: Duration = Duration::from_secs(1);

pub struct Core {
    pub clock: Arc<ClusterClock>,
    pub host: Arc<TableHost>,
    pub queue: Arc<CommandQueue>,
    pub events: Arc<EventLog>,
    pub comparing: Arc<Comparing>,
    pub timings: Timings,
    pub raft: RaftNode,
    pub incarnation: Incarnation,
    pub cluster: ClusterOptions,
    /// Whether this node leads behind its barrier.
    pub leads: watch::Sender<bool>,
    pub heard: Heard,
    pub reads: Reads,
    /// This node's disk was lost: it serves nobody, see [`NodeState::Wiped`].
    pub wiped: AtomicBool,
    /// This node was taken out of the cluster, see [`NodeState::Removed`].
    pub removed: AtomicBool,
    /// What the others have told of their tables, while this node leads.
    pub ballots: Ballots,
    /// This node's table is not what the others have: it serves nobody, see [`NodeState::Diverged`].
    pub differs: AtomicBool,
    /// Age of this process, in milliseconds, when a leader with a quorum last answered; 0 before the first time.
    pub contact_ms: AtomicU64,
}

impl Core {
    /// Whether the membership is this node alone: then its own log is the quorum.
    pub fn is_alone(&self) -> bool {
        self.raft.is_alone()
    }

    pub fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// Whether this node can serve with a quorum: one is there, and this node's own disk lets it take part.
    pub fn has_quorum(&self) -> bool {
        self.is_in_contact() && (self.is_alone() || !self.is_disk_stalled())
    }

    /// Whether a leader with a quorum is known, and this node is it or hears it, whatever its own disk does.
    pub fn is_in_contact(&self) -> bool {
        if self.removed.load(Ordering::Relaxed) || self.differs.load(Ordering::Relaxed) {
            return false;
        }
        if self.leads() {
            return self.is_alone() || self.raft.quorum_age().is_some_and(|age| age < CONTACT_FRESH);
        }
        self.contact_age().is_some_and(|age| age < CONTACT_FRESH)
    }

    /// Whether this node's disk keeps it from everything: what it knows of the others is as old as the flush.
    pub fn is_disk_stalled(&self) -> bool {
        self.raft.flush_stalled() >= CONTACT_FRESH
    }

    /// How long ago a leader with a quorum was last heard, by this node as follower.
    pub fn contact_age(&self) -> Option<Duration> {
        let contact = self.contact_ms.load(Ordering::Relaxed);
        (contact > 0).then(|| self.clock.age().saturating_sub(Duration::from_millis(contact)))
    }

    pub fn note_contact(&self) {
        let age = self.clock.age().as_millis() as u64;
        self.contact_ms.store(age.max(1), Ordering::Relaxed);
    }

    /// Every request comes by here: a node without its disk would answer from an empty table.
    pub fn check_standing(&self) -> Result<(), EngineError> {
        let node = self.cluster.node_id;
        if self.wiped.load(Ordering::Relaxed) {
            return Err(EngineError::Wiped(WipedNode { node }));
        }
        if self.removed.load(Ordering::Relaxed) {
            return Err(EngineError::Removed(RemovedNode { node }));
        }
        match self.differs.load(Ordering::Relaxed) {
            true => Err(EngineError::Differs(DivergedNode { node })),
            false => Ok(()),
        }
    }

    /// Behind which events the table stands.
    pub fn place(&self) -> EventId {
        self.table_and_place().1
    }

    /// The table, and behind which events it stands.
    pub fn table_and_place(&self) -> (RwLockReadGuard<'_, Table>, EventId) {
        let (table, number) = self.host.table_and_entry_number();
        let place = EventId::behind(number, table.table_id());
        (table, place)
    }

    /// How this node stands to its cluster.
    pub fn standing(&self) -> NodeState {
        match self.differs.load(Ordering::Relaxed) {
            true => NodeState::Diverged { node: self.cluster.node_id },
            false => self.raft.state().borrow().clone(),
        }
    }

    /// The table was not that of the others at `index`: nobody is answered from it any more, and this node neither leads
    /// nor votes.
    pub fn stand_aside(&self, index: u64) {
        if self.differs.swap(true, Ordering::Relaxed) {
            return;
        }
        self.host.counters.count_broken();
        tracing::error!(index, "{}", DivergedNode { node: self.cluster.node_id });
        self.raft.quarantine();
        self.queue.request_transfer();
    }

    /// Asks another node's engine; `None` if no answer came in time, or none that can be read.
    pub async fn ask(&self, node: u64, request: &Request, bound: Duration) -> Option<Reply> {
        let call = self.raft.call(node, request.encode().into());
        let answer = tokio::time::timeout(bound, call).await.ok()?.ok()?;
        read(node, &answer)
    }

    /// The same of a node that need be no member.
    pub async fn ask_at(&self, node: u64, address: &str, request: &Request, bound: Duration) -> Option<Reply> {
        let call = self.raft.call_at(node, address, request.encode().into());
        let answer = tokio::time::timeout(bound, call).await.ok()?.ok()?;
        read(node, &answer)
    }

    /// Nothing that waits here will be heard of again.
    fn leave(&self, removed: &NodeState) {
        tracing::error!("{removed}");
        let error = EngineError::Removed(RemovedNode { node: self.cluster.node_id });
        self.queue.refuse_waiting(error);
        self.host.requests.abandon(error);
        self.events.wake();
    }

    /// The leader, where this node follows one.
    pub fn leader(&self) -> Option<u64> {
        let leadership = *self.raft.leadership().borrow();
        leadership.leader.filter(|_| !leadership.is_leader)
    }
}

/// A node of another release goes on answering.
static UNREADABLE: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);

fn read(node: u64, answer: &[u8]) -> Option<Reply> {
    match Reply::decode(answer) {
        Ok(reply) => Some(reply),
        Err(error) => {
            if let Some(held_back) = UNREADABLE.admit(node, clock::process_age()) {
                tracing::warn!(node, %error, held_back, "another node's answer cannot be read");
            }
            None
        }
    }
}

/// Keeps `wiped` and `removed` true to the node's standing for as long as both live.
pub async fn follow_standing(core: Weak<Core>, mut standing: watch::Receiver<NodeState>) {
    loop {
        let now = standing.borrow_and_update().clone();
        let Some(core) = core.upgrade() else { return };
        core.wiped.store(now.is_wiped(), Ordering::Relaxed);
        match (core.removed.swap(now.is_removed(), Ordering::Relaxed), now.is_removed()) {
            (false, true) => core.leave(&now),
            (true, false) => tracing::info!("this node is a member of its cluster again"),
            _ => {}
        }
        drop(core);
        if standing.changed().await.is_err() {
            return;
        }
    }
}
