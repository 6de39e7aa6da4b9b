//! The loop of the proposer: one role after the other, as leaderships change.

use super::state::{Proposer, TICK};
use tokio::sync::watch;

impl Proposer {
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut leadership = self.raft.leadership();
        loop {
            let now = *leadership.borrow_and_update();
            if self.health.is_removed() {
                self.unsettled.clear();
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
    use crate::engine::answer::Answered;
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
