//! Reads of this node's table: each with the consistency that the caller asks for, or local ones at once.

use super::read_barrier::ReadBarrier;
use crate::domain::view::{HoldView, LockView, WaiterView};
use crate::domain::{Caller, HoldKey, Name, Refusal, SessionId, Timestamp};
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::error::EngineError;
use crate::engine::members::NodeHealth;
use crate::engine::table_host::{EndedHold, TableHost};
use crate::raft::RaftNode;
use sha2::{Digest as _, Sha256};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// How fresh a read is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consistency {
    /// Sees everything that was answered before, on any node.
    Linearizable,
    /// Sees what this node has applied: answered without a leader too, and perhaps outdated.
    Stale,
}

pub struct TableReader {
    pub(super) raft: RaftNode,
    pub(super) host: Arc<TableHost>,
    pub(super) clock: Arc<ClusterClock>,
    pub(super) health: Arc<NodeHealth>,
    pub(super) barrier: Arc<ReadBarrier>,
    /// One listing at a time: a filter that few of a million locks pass must not take all cores from everybody else.
    pub(super) listings: Semaphore,
    /// For what takes long: the threads of one runtime for all workers, because each thread keeps some memory.
    pub blocking: Handle,
    pub(super) no_quorum_after: Duration,
}

impl TableReader {
    pub fn new(
        raft: RaftNode,
        host: Arc<TableHost>,
        clock: Arc<ClusterClock>,
        health: Arc<NodeHealth>,
        barrier: Arc<ReadBarrier>,
        no_quorum_after: Duration,
    ) -> TableReader {
        let (listings, blocking) = (Semaphore::new(1), Handle::current());
        TableReader { raft, host, clock, health, barrier, listings, blocking, no_quorum_after }
    }

    /// Resolves when this node's table holds everything that was answered before this call, on any node.
    pub async fn read_barrier(&self, consistency: Consistency) -> Result<(), EngineError> {
        self.health.check_may_serve()?;
        if self.stands_still() {
            return Ok(());
        }
        if consistency == Consistency::Stale || (self.health.leads() && self.health.is_alone()) {
            return Ok(());
        }
        self.barrier.wait(self.no_quorum_after.mul_f32(0.9)).await
    }

    /// Whether nothing can change, because the disk is full and there is no other node. Then time stands still too.
    fn stands_still(&self) -> bool {
        let stands_still = self.raft.is_disk_full() && self.raft.has_no_peers();
        if stands_still {
            self.clock.resume_at(self.host.table().now());
        }
        stands_still
    }

    /// Cluster time: a deadline minus this is what remains.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One lock, `None` if it is free; with the cluster time of the view.
    pub async fn lock(
        &self,
        name: &Name,
        consistency: Consistency,
    ) -> Result<(Option<LockView>, Timestamp), EngineError> {
        self.read_barrier(consistency).await?;
        let now = self.clock.now();
        Ok((self.host.table().lock_view(name, now), now))
    }
}

impl TableReader {
    pub fn local_lock(&self, name: &Name) -> Option<LockView> {
        self.host.table().lock_view(name, self.now())
    }

    pub fn local_hold(&self, name: &Name, key: HoldKey) -> Option<HoldView> {
        self.local_lock(name)?.holds.into_iter().find(|hold| hold.key == key)
    }

    /// Who waits for a lock, in the order of their turns.
    pub fn local_waiters(&self, name: &Name) -> Vec<WaiterView> {
        self.host.table().waiters_view(name, self.now())
    }

    /// The last hold of a lock that is free now, if this process has seen it end and a dialect shows it.
    pub fn last_ended_hold(&self, name: &Name) -> Option<EndedHold> {
        self.host.ended_holds.of(name)
    }

    /// Whether anything would be lost if this session ended.
    pub fn session_has_holds(&self, session: SessionId) -> bool {
        self.host.table().holds_of(session) > 0
    }

    pub fn is_live(&self, session: SessionId) -> bool {
        self.host.table().is_live(session)
    }

    pub fn check_session_of(&self, session: SessionId, caller: Caller) -> Result<(), Refusal> {
        self.host.table().check_session_of(session, caller)
    }

    /// How long this session lives without a request; `usual` for one that this node does not know.
    pub fn idle_timeout_of(&self, session: SessionId, usual: Duration) -> Duration {
        // Every answer of a session asks for it, so the busy table is asked only if some session differs from the rest.
        if !self.host.idle_timeouts.differ_from(usual) {
            return usual;
        }
        let view = self.host.table().session_view(session);
        view.map_or(usual, |view| Duration::from_millis(view.idle_timeout_ms))
    }
}

impl TableReader {
    /// The index up to which this node has applied the log, and a digest of its table there: equal on all nodes at equal
    /// indexes. Takes as long as a snapshot.
    pub fn state_digest(&self) -> (u64, String) {
        let (index, frozen) = {
            let table = self.host.table();
            (self.raft.progress().applied_index, table.freeze())
        };
        let mut whole = HashWriter(Sha256::new());
        frozen.write_to(&mut whole).expect("a digest takes everything");
        let digest: [u8; 32] = whole.0.finalize().into();
        (index, digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

struct HashWriter(Sha256);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
