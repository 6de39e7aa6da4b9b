//! The loop of the proposer: one role after the other, as leaderships change.

use super::state::{Proposer, TICK};
use tokio::sync::watch;

impl Proposer {
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut leadership = self.raft.leadership();
        loop {
            let now = *leadership.borrow_and_update();
            if self.health.is_removed() {
                self.own.forget_all();
            }
            if !now.is_leader {
                self.own.forget_those_of_others();
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
