//! The read barrier: reads that are as fresh as the newest answered write, on any node.
//!
//! One round to the leader and its quorum serves all reads that wait at that moment.

use crate::domain::{Feature, Timestamp};
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::error::EngineError;
use crate::engine::members::NodeHealth;
use crate::engine::messages::{ASK_TIMEOUT, Reply, Request, ask};
use crate::engine::table_host::TableHost;
use crate::raft::RaftNode;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// After a round that found no leader or no quorum.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// Resolves with a time from which on all entries are stamped that the table lacks.
type WaitingRead = oneshot::Sender<Timestamp>;

pub struct ReadBarrier {
    raft: RaftNode,
    clock: Arc<ClusterClock>,
    host: Arc<TableHost>,
    health: Arc<NodeHealth>,
    waiting: Mutex<Vec<WaitingRead>>,
    arrived: Notify,
}

impl ReadBarrier {
    pub fn new(raft: RaftNode, clock: Arc<ClusterClock>, host: Arc<TableHost>, health: Arc<NodeHealth>) -> ReadBarrier {
        ReadBarrier { raft, clock, host, health, waiting: Mutex::default(), arrived: Notify::new() }
    }

    /// Resolves when this node's table holds everything that was answered before this call, on any node; with a time before
    /// which no entry is stamped that it lacks.
    pub async fn wait(&self, bound: Duration) -> Result<Timestamp, EngineError> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().push(sender);
        self.arrived.notify_one();
        match tokio::time::timeout(bound, receiver).await {
            Ok(Ok(entries_from)) => Ok(entries_from),
            Ok(Err(_)) => Err(EngineError::ShuttingDown),
            Err(_) => Err(EngineError::NoQuorum),
        }
    }

    /// Serves rounds until it is aborted. A read that comes during a round waits for the next one: the round that runs may
    /// have fixed its index already.
    pub async fn serve(self: Arc<Self>) {
        loop {
            self.arrived.notified().await;
            let waiting = std::mem::take(&mut *self.waiting.lock());
            if waiting.is_empty() {
                continue;
            }
            match tokio::time::timeout(ASK_TIMEOUT, self.round()).await {
                Ok(Some(entries_from)) => waiting.into_iter().for_each(|read| _ = read.send(entries_from)),
                Ok(None) | Err(_) => {
                    self.put_back(waiting);
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    /// Drops the reads that have given up.
    fn put_back(&self, waiting: Vec<WaitingRead>) {
        let mut all = self.waiting.lock();
        all.extend(waiting);
        all.retain(|read| !read.is_closed());
        if !all.is_empty() {
            self.arrived.notify_one();
        }
    }

    /// Everything that was answered before this call is applied here when it returns.
    async fn round(&self) -> Option<Timestamp> {
        if self.health.leads() {
            let entries_from = self.clock.unapplied_from();
            let index = self.raft.read_index().await.ok()?;
            self.raft.applied(index).await;
            return Some(entries_from);
        }
        let leader = self.health.leader()?;
        let asked = self.clock.age();
        let has_modes = self.host.table().level() >= Feature::Modes as u32;
        let request = if has_modes { Request::ReadPoint } else { Request::ReadIndex };
        let (index, now, entries_from) = match ask(&self.raft, leader, &request, ASK_TIMEOUT).await? {
            Reply::ReadPoint { index, now, entries_from } => (index, now, entries_from),
            // Of an older leader: nothing is known of what is on its way.
            Reply::ReadIndex { index, now } => (index, now, Timestamp(0)),
            _ => return None,
        };
        self.raft.applied(index).await;
        // If this node has begun to lead meanwhile, it has its own time.
        if !self.health.leads() {
            self.clock.follow(now, asked);
        }
        Some(entries_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_node::TestNode;

    #[tokio::test]
    async fn reads_that_wait_together_share_one_round() {
        let node = TestNode::start().await;
        node.health.set_leads(true);
        let barrier = node.barrier();
        let bound = Duration::from_secs(5);
        let reads = async { tokio::join!(barrier.wait(bound), barrier.wait(bound), barrier.wait(bound)) };
        let round = async {
            let waiting = std::mem::take(&mut *barrier.waiting.lock());
            assert_eq!(waiting.len(), 3);
            let entries_from = barrier.round().await.expect("it leads");
            waiting.into_iter().for_each(|read| _ = read.send(entries_from));
        };
        let (reads, ()) = tokio::join!(reads, round);
        assert!(reads.0.is_ok() && reads.0 == reads.1 && reads.1 == reads.2, "{reads:?}");
    }

    #[tokio::test]
    async fn read_without_a_leader_ends_with_no_quorum() {
        let node = TestNode::start().await;
        let barrier = node.barrier();
        let rounds = tokio::spawn(barrier.clone().serve());
        assert_eq!(barrier.wait(Duration::from_millis(100)).await, Err(EngineError::NoQuorum));
        rounds.abort();
    }
}
