//! Reads of this node's table, each with the consistency that the caller asks for.

use super::read_barrier::ReadBarrier;
use crate::base::clock;
use crate::base::codec::hex;
use crate::domain::view::LockView;
use crate::domain::{Feature, LeaderView, Name, PastHold, SessionId, Timestamp};
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::error::{EngineError, Fault};
use crate::engine::members::NodeHealth;
use crate::engine::options::EngineOptions;
use crate::engine::table_host::TableHost;
use crate::raft::RaftNode;
use sha2::{Digest as _, Sha256};
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
    pub options: Arc<EngineOptions>,
    pub raft: RaftNode,
    pub host: Arc<TableHost>,
    pub clock: Arc<ClusterClock>,
    pub health: Arc<NodeHealth>,
    pub barrier: Arc<ReadBarrier>,
    /// One listing at a time: a filter that few of a million locks pass must not take all cores from everybody else.
    pub listings: Semaphore,
    /// For what takes long: the threads of one runtime for all workers, because each thread keeps some memory.
    pub blocking: Handle,
}

impl TableReader {
    /// Resolves when this node's table holds everything that was answered before this call, on any node.
    pub async fn read_barrier(&self, consistency: Consistency) -> Result<(), EngineError> {
        match consistency {
            Consistency::Linearizable => self.read_point().await.map(drop),
            Consistency::Stale => {
                self.health.check_may_serve()?;
                self.stands_still();
                Ok(())
            }
        }
    }

    /// As a linearizable [`TableReader::read_barrier`]; with a time before which no entry is stamped that the table lacks.
    pub async fn read_point(&self) -> Result<Timestamp, EngineError> {
        self.health.check_may_serve()?;
        let is_own_quorum = || self.health.leads() && self.health.is_alone();
        if self.stands_still() || is_own_quorum() {
            return Ok(self.clock.unapplied_from());
        }
        self.barrier.wait(self.options.cluster.no_quorum_after.mul_f32(0.9)).await
    }

    /// Whether nothing can change, because the disk is full and there is no other node. Then time stands still too.
    fn stands_still(&self) -> bool {
        let stands_still = self.raft.is_disk_full() && self.raft.has_no_peers();
        if stands_still {
            self.clock.resume_at(self.host.table().now());
        }
        stands_still
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

    /// The same with its queue.
    pub async fn lock_with_queue(
        &self,
        name: &Name,
        consistency: Consistency,
    ) -> Result<(Option<LockView>, Timestamp), EngineError> {
        self.read_barrier(consistency).await?;
        let (now, table) = (self.clock.now(), self.host.table());
        let lock = table.lock_view(name, now);
        let (queue, frozen) = (|| Some(table.waiters_view(name, now)), || table.freeze_of(name, now));
        Ok((lock.map(|lock| LockView { queue: queue(), frozen: frozen(), ..lock }), now))
    }

    /// The leader of an election; `None` without one.
    pub async fn leader(&self, name: &Name) -> Result<Option<LeaderView>, EngineError> {
        let entries_from = self.read_point().await?;
        let (now, table) = (self.clock.now(), self.host.table());
        Ok(table.leader_view(name, now, entries_from))
    }

    /// The last holds of a name that have ended, newest first.
    pub async fn history(&self, name: &Name, limit: usize, consistency: Consistency) -> Result<Vec<PastHold>, Fault> {
        self.read_barrier(consistency).await?;
        let (now, table) = (self.clock.now(), self.host.table());
        table.check_has(Feature::History)?;
        // By the present clock where no leader has dated the end.
        let unix_ms = u64::try_from(clock::unix_time().as_millis()).unwrap_or(u64::MAX);
        let dated = |past: &PastHold| match past.clock_ms {
            0 => PastHold { clock_ms: unix_ms.saturating_sub(now.0), ..past.clone() },
            _ => past.clone(),
        };
        Ok(table.history(name).take(limit).map(dated).collect())
    }

    /// How long this session lives without a request; the configured time for one that this node does not know.
    pub fn idle_timeout_of(&self, session: SessionId) -> Duration {
        let usual = self.options.session_idle_timeout;
        // Every answer of a session asks for it, so the busy table is asked only if some session differs from the rest.
        if !self.host.idle_timeouts.differ_from(usual) {
            return usual;
        }
        let view = self.host.table().session_view(session);
        view.map_or(usual, |view| Duration::from_millis(view.idle_timeout_ms))
    }

    /// The index up to which this node has applied the log, and a digest of its table there: equal on all nodes at equal
    /// indexes. Takes as long as a snapshot, and as much memory.
    pub fn state_digest(&self) -> (u64, String) {
        let (index, frozen) = {
            let table = self.host.table();
            (self.raft.progress().applied_index, table.freeze())
        };
        let mut whole = Vec::new();
        frozen.write_to(&mut whole).expect("a vector takes everything");
        let digest = Sha256::digest(&whole);
        (index, hex(&digest[..16]))
    }
}
