//! The one task that hands commands on: into the log while this node leads, to the leader while another does.
//!
//! It numbers this process's commands, and keeps those that were handed on until their outcome is seen, so that they
//! can be sent again, oldest first, to whoever leads next. Apply does each of them once.

use super::answer::AnswerSender;
use super::command_queue::{BatchBounds, Queued};
use super::core::Core;
use crate::domain::{CommandId, Limits, Submitted};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// How finely waiting is counted: for requests without a leader or an outcome, and for silent nodes.
pub const TICK: Duration = Duration::from_millis(200);

pub struct Driver {
    pub core: Arc<Core>,
    pub limits: Limits,
    pub bounds: BatchBounds,
    /// The last sequence given.
    pub sequence: u64,
    pub epoch: u64,
    /// Handed on, end not seen: own commands, and in a leadership that failed also those of others. In order.
    pub unsettled: VecDeque<Submitted>,
}

impl Driver {
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut leadership = self.core.raft.leadership();
        loop {
            let now = *leadership.borrow_and_update();
            if self.core.removed.load(Ordering::Relaxed) {
                self.unsettled.clear();
            }
            if !now.is_leader {
                // Other nodes send theirs again to whoever leads.
                self.unsettled.retain(|submitted| submitted.id.incarnation == self.core.incarnation);
            }
            let role = async {
                match (now.is_leader, now.leader) {
                    (true, _) => self.lead(now.term).await,
                    (false, Some(leader)) => self.follow(leader, now.term).await,
                    (false, None) => self.wait().await,
                }
            };
            // Cut off wherever it is: what was handed on is in `unsettled`, and an entry on its way is taken back there.
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = role => {}
            }
        }
        self.core.leads.send_replace(false);
    }

    /// Nobody leads, as far as this node knows.
    async fn wait(&mut self) {
        let mut leadership = self.core.raft.leadership();
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

    /// Requests that wait too long get their word: refused, or outcome unknown.
    pub fn count_waiting(&self) {
        let ticks = |bound: Duration| (bound.as_millis() / TICK.as_millis()).max(2) as u64 - 1;
        self.core.queue.tick(ticks(self.core.cluster.no_quorum_after));
        self.core.host.requests.tick(ticks(self.core.cluster.outcome_wait));
    }

    /// Gives commands their numbers and notes who waits for them.
    pub fn number(&mut self, queued: Vec<Queued>, commands: &mut Vec<Submitted>) {
        if queued.is_empty() {
            return;
        }
        let first = self.sequence + 1;
        self.sequence += queued.len() as u64;
        let mut answers: Vec<(u64, AnswerSender)> = Vec::with_capacity(queued.len());
        for (queued, sequence) in queued.into_iter().zip(first..) {
            let id = CommandId { incarnation: self.core.incarnation, sequence };
            commands.push(Submitted { id, command: queued.command });
            answers.extend(queued.answer.map(|answer| (sequence, answer)));
        }
        self.core.host.requests.register(first..=self.sequence, answers.into_iter());
    }

    /// Forgets what needs no sending again.
    pub fn forget_settled(&mut self) {
        let settled = self.core.host.requests.settled();
        let own = self.core.incarnation;
        while self.unsettled.front().is_some_and(|first| first.id.incarnation == own && first.id.sequence <= settled) {
            self.unsettled.pop_front();
        }
    }
}
