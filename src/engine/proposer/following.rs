//! Following: presents this node to the leader, and forwards its commands to it in one ordered stream.

use super::state::{Proposer, TICK};
use crate::domain::{Body, Entry, SessionId};
use crate::engine::messages::{ASK_TIMEOUT, Reply, Request, TracedCommand, ask};
use crate::raft::Leadership;
use std::time::Duration;

/// Before asking a leader again that was busy or did not answer.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// The stream of commands to one leader.
struct ForwardStream {
    leader: u64,
    /// The epoch of the leadership that has accepted what was sent so far.
    epoch: u64,
    /// The last own number that it has accepted.
    accepted: u64,
    /// Ages of this process when it last presented itself, and when waiting was last counted.
    presented: Duration,
    counted: Duration,
    /// Why the leader does not accept this node, as last logged.
    refusal: Option<String>,
    /// It may be told which commands are traced.
    takes_traces: bool,
}

impl Proposer {
    /// Returns when another node leads, or none does.
    pub async fn follow(&mut self, leader: u64, term: u64) {
        let mut leadership = self.raft.leadership();
        let ended = |now: &Leadership| now.is_leader || now.leader != Some(leader) || now.term != term;
        self.queue.set_leading(None);
        let age = self.clock.age();
        let (presented, counted, refusal, takes_traces) = (age, age, None, true);
        let stream = ForwardStream { leader, epoch: 0, accepted: 0, presented, counted, refusal, takes_traces };
        tokio::select! {
            biased;
            _ = leadership.wait_for(ended) => {}
            () = self.forward(stream) => {}
        }
    }

    /// Nothing is taken from the queue before the leader has answered: what waits there can still be refused with certainty.
    async fn forward(&mut self, mut stream: ForwardStream) {
        loop {
            if self.present(&mut stream).await {
                while self.send_next(&mut stream).await {}
            }
            let removed = self.health.is_removed();
            if removed {
                // The table has forgotten their numbers with this node: sent again, they would be applied twice.
                self.unsettled.commands.clear();
            }
            tokio::time::sleep(if removed { TICK } else { RETRY_DELAY }).await;
            self.count(&mut stream);
        }
    }

    /// One step of the stream; false when this node must present itself again.
    async fn send_next(&mut self, stream: &mut ForwardStream) -> bool {
        self.count(stream);
        self.unsettled.forget_settled();
        let touches = self.take_batch();
        let commands = self.unsettled.after(stream.accepted, self.bounds.commands_max);
        if commands.is_empty() && touches.is_empty() {
            let age = self.clock.age();
            let until_presenting = (stream.presented + TICK).saturating_sub(age);
            return tokio::select! {
                biased;
                () = self.queue.arrival() => true,
                () = tokio::time::sleep(until_presenting) => self.present(stream).await,
            };
        }
        let last = commands.last().map(|submitted| submitted.id.sequence);
        let traced = self.host.requests.traced(&commands).into_iter().map(|(submitted, parent)| TracedCommand {
            sequence: submitted.id.sequence,
            trace: parent.trace,
            span: u64::from_be_bytes(parent.span),
        });
        let traced = traced.collect();
        let body = Body::Batch { touches, more_touches: false, commands };
        let entry = Box::new(self.host.for_all_nodes(Entry { at: Default::default(), epoch: 0, body }));
        let request = self.forwarding(stream, traced, entry);
        let answer = ask(&self.raft, stream.leader, &request, ASK_TIMEOUT).await;
        self.put_back_touches(&request, answer.as_ref());
        match answer {
            Some(Reply::Accepted { epoch, .. }) if epoch == stream.epoch => {
                stream.accepted = last.unwrap_or(stream.accepted);
                true
            }
            Some(Reply::Busy) => {
                tokio::time::sleep(RETRY_DELAY).await;
                true
            }
            // A leader of an older release, which has done nothing.
            Some(Reply::NotUnderstood) if std::mem::take(&mut stream.takes_traces) => true,
            _ => false,
        }
    }

    fn forwarding(&self, stream: &ForwardStream, traced: Vec<TracedCommand>, entry: Box<Entry>) -> Request {
        let incarnation = self.unsettled.incarnation();
        match stream.takes_traces && !traced.is_empty() {
            true => Request::ForwardTraced { incarnation, traced, entry },
            false => Request::Forward { incarnation, entry },
        }
    }

    /// Numbers what waits, as far as there is room for what may have to be sent again. Returns the touches.
    fn take_batch(&mut self) -> Vec<SessionId> {
        if self.unsettled.commands.len() >= self.bounds.commands_max * 4 {
            return Vec::new();
        }
        let batch = self.queue.next(self.bounds);
        let mut commands = Vec::with_capacity(batch.queued.len());
        self.unsettled.number(batch.queued, &mut commands);
        self.host.counters.count_forwarded(commands.len());
        self.unsettled.commands.extend(commands);
        if batch.more_touches {
            self.queue.wake();
        }
        batch.touches
    }

    /// Touches that the leader did not accept are queued again.
    fn put_back_touches(&self, request: &Request, answer: Option<&Reply>) {
        if let Request::Forward { entry, .. } | Request::ForwardTraced { entry, .. } = request
            && let Body::Batch { touches, .. } = &entry.body
            && !matches!(answer, Some(Reply::Accepted { .. }))
        {
            touches.iter().for_each(|session| self.queue.touch(*session));
        }
    }

    /// Tells the leader that this process lives. Returns whether it answered as a leader with a quorum.
    async fn present(&self, stream: &mut ForwardStream) -> bool {
        let asked = self.clock.age();
        match ask(&self.raft, stream.leader, &self.members.introduction(), ASK_TIMEOUT).await {
            Some(Reply::Accepted { epoch, now }) => {
                if epoch != stream.epoch {
                    (stream.epoch, stream.accepted) = (epoch, 0);
                }
                self.raft.set_removed(false);
                stream.refusal = None;
                stream.presented = self.clock.age();
                self.clock.follow(now, asked);
                self.health.note_contact();
                true
            }
            Some(Reply::NotMember) => {
                self.raft.set_removed(true);
                false
            }
            Some(Reply::NotAccepted { reason }) => {
                if stream.refusal.as_ref() != Some(&reason) {
                    tracing::error!(leader = stream.leader, reason, "the leader does not accept this node");
                    stream.refusal = Some(reason);
                }
                false
            }
            _ => false,
        }
    }

    /// Counts waiting, once a tick.
    fn count(&self, stream: &mut ForwardStream) {
        let age = self.clock.age();
        if age.saturating_sub(stream.counted) >= TICK {
            stream.counted = age;
            self.count_waiting();
        }
    }
}
