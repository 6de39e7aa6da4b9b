//! Following: presents this node to the leader, and forwards its commands there in one ordered stream.

use super::cluster::wire::{Reply, Request};
use super::driver::{Driver, TICK};
use crate::domain::{Body, Entry, FEATURE_LEVEL, SessionId, StoreId, Submitted};
use crate::raft::Leadership;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// One request to the leader, answered when it has queued what it was sent.
const ASK: Duration = Duration::from_millis(500);
/// Before asking a leader again that did not answer, or was busy.
const PAUSE: Duration = Duration::from_millis(20);

/// The stream of commands to one leader.
struct Stream {
    leader: u64,
    /// The leadership that has taken in what was sent so far.
    epoch: u64,
    /// The last own sequence that it has taken in.
    taken_in: u64,
    /// Ages of this process: when it last presented itself, and when waiting was last counted.
    presented: Duration,
    counted: Duration,
    /// Why the leader does not take this node in, as the log was told.
    refused: Option<String>,
}

impl Driver {
    /// Returns when another leads, or nobody.
    pub async fn follow(&mut self, leader: u64, term: u64) {
        let mut leadership = self.core.raft.leadership();
        let ended = |now: &Leadership| now.is_leader || now.leader != Some(leader) || now.term != term;
        self.core.queue.set_leading(None);
        let age = self.core.clock.age();
        let stream = Stream { leader, epoch: 0, taken_in: 0, presented: age, counted: age, refused: None };
        tokio::select! {
            biased;
            _ = leadership.wait_for(ended) => {}
            () = self.forward(stream) => {}
        }
    }

    /// Nothing is taken from the intake before the leader has answered: what waits there can still be refused with
    /// certainty.
    async fn forward(&mut self, mut stream: Stream) {
        loop {
            if self.present(&mut stream).await {
                while self.send_next(&mut stream).await {}
            }
            let removed = self.core.removed.load(Ordering::Relaxed);
            if removed {
                // Their numbers are forgotten with this node's record: sent again, they would be done twice.
                self.unsettled.clear();
            }
            tokio::time::sleep(if removed { TICK } else { PAUSE }).await;
            self.count(&mut stream);
        }
    }

    /// One step of the stream; false when the leader must be asked anew who it is.
    async fn send_next(&mut self, stream: &mut Stream) -> bool {
        self.count(stream);
        self.forget_settled();
        let touches = self.take_in();
        let commands = self.unsent(stream.taken_in);
        if commands.is_empty() && touches.is_empty() {
            let age = self.core.clock.age();
            let until_presenting = (stream.presented + TICK).saturating_sub(age);
            return tokio::select! {
                biased;
                () = self.core.queue.arrival() => true,
                () = tokio::time::sleep(until_presenting) => self.present(stream).await,
            };
        }
        let last = commands.last().map(|submitted| submitted.id.sequence);
        let body = Body::Batch { touches, more_touches: false, commands };
        let entry = self.core.host.for_all_nodes(Entry { at: Default::default(), epoch: 0, body });
        let request = Request::Forward { incarnation: self.core.incarnation, entry };
        let answer = self.core.ask(stream.leader, &request, ASK).await;
        self.put_back_touches(&request, answer.as_ref());
        match answer {
            Some(Reply::Accepted { epoch, .. }) if epoch == stream.epoch => {
                stream.taken_in = last.unwrap_or(stream.taken_in);
                true
            }
            Some(Reply::Busy) => {
                tokio::time::sleep(PAUSE).await;
                true
            }
            _ => false,
        }
    }

    /// Numbers what waits, as far as there is room for what may have to be sent again; returns the sightings.
    fn take_in(&mut self) -> Vec<SessionId> {
        if self.unsettled.len() >= self.bounds.commands_max * 4 {
            return Vec::new();
        }
        let batch = self.core.queue.next(self.bounds);
        let mut commands = Vec::with_capacity(batch.queued.len());
        self.number(batch.queued, &mut commands);
        self.core.host.counters.count_forwarded(commands.len());
        self.unsettled.extend(commands);
        if batch.more_touches {
            self.core.queue.wake();
        }
        batch.touches
    }

    /// The oldest that this leader has not taken in, as many as fit one entry.
    fn unsent(&self, taken_in: u64) -> Vec<Submitted> {
        let unsent = self.unsettled.iter().filter(|submitted| submitted.id.sequence > taken_in);
        unsent.take(self.bounds.commands_max).cloned().collect()
    }

    /// Sightings that the leader did not take in are not lost.
    fn put_back_touches(&self, request: &Request, answer: Option<&Reply>) {
        if let (Request::Forward { entry: Entry { body: Body::Batch { touches, .. }, .. }, .. }, false) =
            (request, matches!(answer, Some(Reply::Accepted { .. })))
        {
            touches.iter().for_each(|session| self.core.queue.touch(*session));
        }
    }

    /// Tells the leader that this process lives; whether it answered as a leader with a quorum.
    async fn present(&self, stream: &mut Stream) -> bool {
        let core = &self.core;
        let asked = core.clock.age();
        let request = Request::Present {
            incarnation: core.incarnation,
            store: StoreId(core.raft.store_id()),
            level: FEATURE_LEVEL,
        };
        match core.ask(stream.leader, &request, ASK).await {
            Some(Reply::Accepted { epoch, now }) => {
                if epoch != stream.epoch {
                    (stream.epoch, stream.taken_in) = (epoch, 0);
                }
                core.raft.set_removed(false);
                stream.refused = None;
                stream.presented = core.clock.age();
                core.clock.follow(now, asked);
                core.note_contact();
                true
            }
            Some(Reply::NotMember) => {
                core.raft.set_removed(true);
                false
            }
            Some(Reply::NotTakenIn { reason }) => {
                if stream.refused.as_ref() != Some(&reason) {
                    tracing::error!(leader = stream.leader, reason, "the leader does not take this node in");
                    stream.refused = Some(reason);
                }
                false
            }
            _ => false,
        }
    }

    /// Counts waiting once a tick.
    fn count(&self, stream: &mut Stream) {
        let age = self.core.clock.age();
        if age.saturating_sub(stream.counted) >= TICK {
            stream.counted = age;
            self.count_waiting();
        }
    }
}
