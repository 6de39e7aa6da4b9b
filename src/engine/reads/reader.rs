//! Reads of this node's table, each with the consistency that the caller asks for.

use super::read_barrier::ReadBarrier;
use crate::domain::view::LockView;
use crate::domain::{Name, Timestamp};
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::error::EngineError;
use crate::engine::members::NodeHealth;
use crate::engine::table_host::TableHost;
use crate::raft::RaftNode;
use std::sync::Arc;
use std::time::Duration;
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
        TableReader { raft, host, clock, health, barrier, listings: Semaphore::new(1), no_quorum_after }
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
