//! Leading a node without peers: the submitters propose, and this task ticks.

use super::queued_entries::QueuedEntries;
use super::state::{Proposer, TICK};
use crate::raft::Leadership;

impl Proposer {
    /// Returns when the leadership has ended, or must be opened anew.
    pub(super) async fn tick_while_leading(&mut self, term: u64, entries: &QueuedEntries) {
        entries.set_epoch(Some(self.epoch));
        let mut leadership = self.raft.leadership();
        let ended = |leadership: &Leadership| !leadership.is_leader || leadership.term != term;
        let level = self.host.table().level();
        let (mut supervised, mut counted) = (self.clock.age(), self.clock.age());
        self.members.supervise(supervised);
        loop {
            let is_due = self.tick_is_due();
            if is_due {
                entries.request_tick();
            }
            self.raft.append_pending();
            // A tick that is still due waits for a flush, whose end wakes this task.
            let until = if is_due && self.tick_is_due() { TICK } else { entries.sleep_until_tick(TICK) };
            tokio::select! {
                biased;
                () = self.queue.arrival() => {}
                () = tokio::time::sleep(until) => {}
                _ = leadership.wait_for(ended) => break,
            }
            let age = self.clock.age();
            if age.saturating_sub(counted) >= TICK {
                counted = age;
                self.count_waiting();
            }
            if age.saturating_sub(supervised) >= TICK {
                supervised = age;
                if self.host.table().level() != level {
                    break;
                }
                self.members.supervise(age);
            }
        }
        entries.set_epoch(None);
    }
}
