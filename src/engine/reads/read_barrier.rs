//! The read barrier: reads that are as fresh as the newest answered write, on any node.
//!
//! One round to the leader and its quorum serves all reads that wait at that moment.

use crate::engine::cluster_clock::ClusterClock;
use crate::engine::error::EngineError;
use crate::engine::members::NodeHealth;
use crate::engine::messages::{ASK_TIMEOUT, Reply, Request, ask};
use crate::raft::RaftNode;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// After a round that found no leader or no quorum.
const RETRY_DELAY: Duration = Duration::from_millis(50);

type WaitingRead = oneshot::Sender<()>;

pub struct ReadBarrier {
    raft: RaftNode,
    clock: Arc<ClusterClock>,
    health: Arc<NodeHealth>,
    waiting: Mutex<Vec<WaitingRead>>,
    arrived: Notify,
}

impl ReadBarrier {
    pub fn new(raft: RaftNode, clock: Arc<ClusterClock>, health: Arc<NodeHealth>) -> ReadBarrier {
        ReadBarrier { raft, clock, health, waiting: Mutex::default(), arrived: Notify::new() }
    }

    /// Resolves when this node's table holds everything that was answered before this call, on any node.
    pub async fn wait(&self, bound: Duration) -> Result<(), EngineError> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().push(sender);
        self.arrived.notify_one();
        match tokio::time::timeout(bound, receiver).await {
            Ok(Ok(())) => Ok(()),
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
                Ok(Some(())) => waiting.into_iter().for_each(|read| _ = read.send(())),
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
    async fn round(&self) -> Option<()> {
        if self.health.leads() {
            let index = self.raft.read_index().await.ok()?;
            self.raft.applied(index).await;
            return Some(());
        }
        let leader = self.health.leader()?;
        let asked = self.clock.age();
        match ask(&self.raft, leader, &Request::ReadIndex, ASK_TIMEOUT).await? {
            Reply::ReadIndex { index, now } => {
                self.raft.applied(index).await;
                // If this node has begun to lead meanwhile, it has its own time.
                if !self.health.leads() {
                    self.clock.follow(now, asked);
                }
                Some(())
            }
            _ => None,
        }
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
            assert_eq!(barrier.round().await, Some(()));
            waiting.into_iter().for_each(|read| _ = read.send(()));
        };
        let (reads, ()) = tokio::join!(reads, round);
        assert_eq!(reads, (Ok(()), Ok(()), Ok(())));
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
