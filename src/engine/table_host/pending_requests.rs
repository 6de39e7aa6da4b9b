//! The requests of this node that wait for their commands to be applied. Never replicated.

use super::forwarded_traces::ForwardedTraces;
use crate::base::request_times::{self, TraceParent};
use crate::domain::{Applied, Event, Incarnation, Outcome, Refusal, Submitted, Table, WaitEnd};
use crate::engine::command_queue::{Answer, AnswerSender, Answered, EntryTimes};
use crate::engine::error::EngineError;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The requests of this process, by the sequence of their command.
pub struct PendingRequests {
    incarnation: Incarnation,
    requests: Mutex<Requests>,
    /// The last own command that is known to be applied, or refused for good: none up to it needs sending again.
    settled: AtomicU64,
    /// For traced requests.
    last_flush: OnceLock<LastFlush>,
    pub forwarded_traces: ForwardedTraces,
}

/// Tells when the last flush of the log began and ended, as ages of the process.
type LastFlush = Box<dyn Fn() -> Option<(Duration, Duration)> + Send + Sync>;

#[derive(Default)]
struct Requests {
    /// Their command is in the log or on its way there.
    proposed: BySequence,
    /// The ticks at which the commands of `proposed` were handed on, oldest first.
    handed_on: VecDeque<(u64, RangeInclusive<u64>)>,
    tick: u64,
    /// Their acquire waits in the queue of a lock.
    in_lock_queue: BySequence,
    /// The server closes: no acquire may wait in a queue any more.
    closed: bool,
}

type BySequence = HashMap<u64, AnswerSender, BuildHasherDefault<SequenceHasher>>;

/// Sequences count up and no client chooses them, so spreading their bits is enough.
#[derive(Default)]
struct SequenceHasher(u64);

impl Hasher for SequenceHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 << 8 | u64::from(*byte)));
    }

    fn write_u64(&mut self, sequence: u64) {
        self.0 = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl PendingRequests {
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub fn new(incarnation: Incarnation) -> PendingRequests {
        let last_flush = OnceLock::new();
        let (requests, settled, forwarded_traces) = (Mutex::default(), AtomicU64::new(0), ForwardedTraces::default());
        PendingRequests { incarnation, requests, settled, last_flush, forwarded_traces }
    }

    pub fn take_flushes_from(&self, last_flush: impl Fn() -> Option<(Duration, Duration)> + Send + Sync + 'static) {
        // Set once, when the node has started.
        _ = self.last_flush.set(Box::new(last_flush));
    }

    fn entry_times(&self, apply: Duration, commands: usize) -> EntryTimes {
        EntryTimes { apply, flush: self.last_flush.get().and_then(|last_flush| last_flush()), commands }
    }

    /// Registers the requests that wait, before the commands of these sequences go to the log.
    pub fn register(&self, sequences: RangeInclusive<u64>, answers: impl Iterator<Item = (u64, AnswerSender)>) {
        let mut requests = self.requests.lock();
        let tick = requests.tick;
        requests.handed_on.push_back((tick, sequences));
        requests.proposed.extend(answers.map(|(sequence, mut answer)| {
            answer.handed_on();
            (sequence, answer)
        }));
    }

    /// Answers the requests whose commands an entry has applied, from this age of the process on where any is traced. A queued acquire waits on until an event ends its wait.
    pub fn answer(&self, applied: &mut Applied, apply_began: Option<Duration>) {
        let entry = apply_began.map(|apply| self.entry_times(apply, applied.outcomes.len()));
        let mut requests = self.requests.lock();
        let mut settled = 0;
        for (id, outcome) in applied.outcomes.drain(..) {
            if id.incarnation == self.incarnation {
                settled = id.sequence;
                requests.answer_command(id.sequence, outcome, entry);
            } else if let Some(entry) = entry {
                self.forwarded_traces.applied(id, entry);
            }
        }
        if settled > 0 {
            self.settle(&mut requests, settled);
        }
        for event in &applied.events {
            let (command, answered) = match event {
                Event::WaiterGranted { command, grant, unconfirmed, .. } => {
                    (command, Answered::GrantedAfterWait { grant: grant.clone(), unconfirmed: *unconfirmed })
                }
                Event::WaiterEnded { command, frozen: Some(by), .. } => {
                    (command, Answered::Outcome(Outcome::Refused(Refusal::Frozen(by.clone()))))
                }
                Event::WaiterEnded { command, why, .. } => (command, Answered::Outcome(outcome_of_end(*why))),
                _ => continue,
            };
            if command.incarnation == self.incarnation {
                let waiting = requests.in_lock_queue.remove(&command.sequence);
                let waiting = waiting.map(|mut waiting| {
                    waiting.waited();
                    waiting
                });
                send(waiting, Ok(answered));
            }
        }
    }

    /// The spans of the requests that wait for these own commands, where they are traced.
    pub fn traced<'a>(&self, commands: &'a [Submitted]) -> Vec<(&'a Submitted, TraceParent)> {
        if !request_times::is_on() {
            return Vec::new();
        }
        let requests = self.requests.lock();
        let parent = |submitted: &Submitted| requests.proposed.get(&submitted.id.sequence)?.parent();
        commands.iter().filter_map(|submitted| Some((submitted, parent(submitted)?))).collect()
    }

    /// The last own command that needs no sending again.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// Answers commands that were certainly not applied, and never will be.
    pub fn fail(&self, sequences: impl Iterator<Item = u64>, error: EngineError) {
        let mut requests = self.requests.lock();
        sequences.for_each(|sequence| send(requests.proposed.remove(&sequence), Err(error)));
    }

    /// Counts one tick of waiting. Requests whose commands were handed on `ticks` or more ago get "outcome unknown".
    pub fn tick(&self, ticks: u64) {
        let mut requests = self.requests.lock();
        requests.tick += 1;
        while let Some((at, sequences)) = requests.handed_on.front().cloned()
            && at + ticks <= requests.tick
        {
            requests.handed_on.pop_front();
            for sequence in sequences {
                send(requests.proposed.remove(&sequence), Err(EngineError::OutcomeUnknown));
            }
        }
    }

    /// A snapshot has replaced the table, so what happened in between was not seen. Acquires that wait in it wait on.
    pub fn resume_from(&self, table: &Table) {
        let waiting = table.waiting_commands(self.incarnation);
        let applied = table.last_sequence(self.incarnation);
        let mut requests = self.requests.lock();
        let Requests { proposed, in_lock_queue, .. } = &mut *requests;
        let seen: Vec<u64> = proposed.keys().copied().filter(|sequence| *sequence <= applied).collect();
        for sequence in seen {
            match (waiting.contains(&sequence), proposed.remove(&sequence)) {
                (true, Some(answer)) => _ = in_lock_queue.insert(sequence, answer),
                (_, answer) => send(answer, Err(EngineError::OutcomeUnknown)),
            }
        }
        let gone: Vec<u64> = in_lock_queue.keys().copied().filter(|sequence| !waiting.contains(sequence)).collect();
        gone.into_iter().for_each(|sequence| send(in_lock_queue.remove(&sequence), Err(EngineError::OutcomeUnknown)));
        self.settle(&mut requests, applied);
    }

    /// Ends every wait, now and from now on: the server stops. The delivery guards cancel the acquires.
    pub fn close(&self) {
        let waits = {
            let mut requests = self.requests.lock();
            requests.closed = true;
            std::mem::take(&mut requests.in_lock_queue)
        };
        waits.into_values().for_each(|answer| send(Some(answer), Err(EngineError::ShuttingDown)));
    }

    /// The log no longer reaches this node. Commands that were handed on may still be applied. An acquire in a queue loses
    /// its place: the cluster passes its grant on, because this node will not confirm it.
    pub fn abandon(&self, waiting: EngineError) {
        let (proposed, waits) = {
            let mut requests = self.requests.lock();
            requests.handed_on.clear();
            (std::mem::take(&mut requests.proposed), std::mem::take(&mut requests.in_lock_queue))
        };
        proposed.into_values().for_each(|answer| send(Some(answer), Err(EngineError::OutcomeUnknown)));
        waits.into_values().for_each(|answer| send(Some(answer), Err(waiting)));
    }

    fn settle(&self, requests: &mut Requests, sequence: u64) {
        self.settled.fetch_max(sequence, Ordering::AcqRel);
        while requests.handed_on.front().is_some_and(|(_, handed)| *handed.end() <= sequence) {
            requests.handed_on.pop_front();
        }
    }
}

impl Requests {
    fn answer_command(&mut self, sequence: u64, outcome: Outcome, entry: Option<EntryTimes>) {
        if let (Some(_), Some(answer)) = (entry, self.proposed.get_mut(&sequence)) {
            answer.applied(entry);
        }
        match outcome {
            // Its request was answered when it was first applied.
            Outcome::Duplicate => {}
            Outcome::Waiting { .. } if self.closed => {
                send(self.proposed.remove(&sequence), Err(EngineError::ShuttingDown));
            }
            Outcome::Waiting { .. } => {
                let answer = self.proposed.remove(&sequence);
                self.in_lock_queue.extend(answer.map(|answer| (sequence, answer)));
            }
            outcome => send(self.proposed.remove(&sequence), Ok(Answered::Outcome(outcome))),
        }
    }
}

fn outcome_of_end(why: WaitEnd) -> Outcome {
    Outcome::Refused(match why {
        WaitEnd::TimedOut => Refusal::WaitTimedOut,
        WaitEnd::Cancelled => Refusal::WaitCancelled,
        WaitEnd::Dropped => Refusal::WaitDropped,
        WaitEnd::SessionEnded => Refusal::SessionUnknown,
        WaitEnd::HoldEnded => Refusal::WrongKey,
    })
}

fn send(answer: Option<AnswerSender>, outcome: Answer) {
    if let Some(answer) = answer {
        answer.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_without_outcome_is_answered_unknown_after_its_ticks() {
        let pending = PendingRequests::new(Incarnation(1));
        let (answer, mut receiver) = AnswerSender::new(None);
        pending.register(1..=1, [(1, answer)].into_iter());
        pending.tick(2);
        assert!(receiver.try_recv().is_err(), "one tick is not enough");
        pending.tick(2);
        assert!(matches!(receiver.try_recv(), Ok(Err(EngineError::OutcomeUnknown))));
    }

    #[test]
    fn closed_requests_are_not_parked_in_a_lock_queue() {
        let pending = PendingRequests::new(Incarnation(1));
        pending.close();
        let (answer, mut receiver) = AnswerSender::new(None);
        pending.register(1..=1, [(1, answer)].into_iter());
        let id = crate::domain::CommandId { incarnation: Incarnation(1), sequence: 1 };
        pending.answer(
            &mut Applied { outcomes: vec![(id, Outcome::Waiting { position: 0 })], ..Applied::default() },
            None,
        );
        assert!(matches!(receiver.try_recv(), Ok(Err(EngineError::ShuttingDown))));
        assert_eq!(pending.settled(), 1);
    }
}
