//! The proposer's state and its loop: one role after the other, as leaderships change.

use super::queued_entries::QueuedEntries;
use super::unsettled_commands::UnsettledCommands;
use crate::base::histogram::Histogram;
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::command_queue::{BatchBounds, CommandQueue};
use crate::engine::digests::DigestLog;
use crate::engine::events::EventLog;
use crate::engine::members::{ClusterMembers, NodeHealth};
use crate::engine::options::EngineOptions;
use crate::engine::table_host::TableHost;
use crate::raft::RaftNode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How finely waiting is counted: for requests without a leader or an outcome, and for silent nodes.
pub const TICK: Duration = Duration::from_millis(200);

pub struct Proposer {
    pub raft: RaftNode,
    pub host: Arc<TableHost>,
    pub queue: Arc<CommandQueue>,
    pub clock: Arc<ClusterClock>,
    pub health: Arc<NodeHealth>,
    pub members: Arc<ClusterMembers>,
    #[cfg_attr(
        not(feature = "mutants"),
        expect(dead_code, reason = "a planted bug applies entries before their commit")
    )]
    pub events: Arc<EventLog>,
    pub digests: Arc<DigestLog>,
    /// From proposing an entry until it is applied.
    pub commit_time: Arc<Histogram>,
    pub options: Arc<EngineOptions>,
    pub bounds: BatchBounds,
    pub unsettled: UnsettledCommands,
    /// On a node without peers, where those who submit commands propose them.
    pub standalone: Option<Arc<QueuedEntries>>,
    /// The epoch of the last leadership of this node.
    pub epoch: u64,
}

impl Proposer {
    /// Counts one tick: requests that have waited too long are refused, or get "outcome unknown".
    pub fn count_waiting(&self) {
        let ticks = |bound: Duration| (bound.as_millis() / TICK.as_millis()).max(2) as u64 - 1;
        self.queue.tick(ticks(self.options.cluster.no_quorum_after));
        self.host.requests.tick(ticks(self.options.cluster.outcome_wait));
    }
}

impl Proposer {
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut leadership = self.raft.leadership();
        loop {
            let now = *leadership.borrow_and_update();
            if self.health.is_removed() {
                self.unsettled.commands.clear();
            }
            if !now.is_leader {
                self.unsettled.forget_those_of_others();
            }
            let role = async {
                match (now.is_leader, now.leader) {
                    (true, _) => self.lead(now.term).await,
                    (false, Some(leader)) => self.follow(leader, now.term).await,
                    (false, None) => self.wait_for_leader().await,
                }
            };
            // Stopping may cut a role off anywhere: unsettled commands are kept, and an entry on its way is taken back there.
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = role => {}
            }
        }
        self.health.set_leads(false);
    }

    async fn wait_for_leader(&mut self) {
        let mut leadership = self.raft.leadership();
        loop {
            tokio::select! {
                biased;
                led = leadership.wait_for(|leadership| leadership.is_leader || leadership.leader.is_some()) => {
                    return drop(led);
                }
                () = tokio::time::sleep(TICK) => self.count_waiting(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{Outcome, SessionId};
    use crate::engine::command_queue::Answered;
    use crate::engine::test_node::TestNode;
    use tokio::sync::watch;

    #[tokio::test]
    async fn commands_that_wait_together_share_one_entry() {
        let node = TestNode::start().await;
        let waiting: Vec<_> = (1..=3).map(|session| node.submit(session)).collect();
        let (_stop, stopped) = watch::channel(false);
        let proposer = tokio::spawn(node.proposer().run(stopped));
        for (number, answer) in (1..).zip(waiting) {
            let Ok(Ok(Answered::Outcome(outcome))) = answer.await else { panic!("no outcome") };
            assert_eq!(outcome, Outcome::SessionOpened { session: SessionId([number; 16]) });
        }
        let stats = node.host.counters.read();
        assert_eq!((stats.entries, stats.commands), (2, 3), "the start of the leadership, and one batch");
        proposer.abort();
    }
}
