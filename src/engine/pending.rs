//! Which request waits for which command. Local to this node, never replicated.

use super::error::EngineError;
use crate::domain::{Applied, Event, Grant, Incarnation, Outcome, Refusal, Table, WaitEnd};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

pub type Answer = Result<Answered, EngineError>;

/// The end of a command, as its request gets it.
#[derive(Debug)]
pub enum Answered {
    Outcome(Outcome),
    /// The wait for a hold ended with this grant.
    Waited {
        grant: Grant,
        /// The answer must wait until its node has announced it.
        unconfirmed: bool,
    },
}

/// The requests of this process, by the sequence of their command.
pub struct Pending {
    incarnation: Incarnation,
    requests: Mutex<Requests>,
    /// The last own command that is known to be applied, or to be refused for good.
    settled: AtomicU64,
}

#[derive(Default)]
struct Requests {
    /// Their command is in the log or on its way there.
    proposed: BySequence,
    /// When the commands of `proposed` were handed over, oldest first.
    handed: VecDeque<(u64, RangeInclusive<u64>)>,
    tick: u64,
    /// Their acquire waits in a queue.
    parked: BySequence,
    /// The server drains: nobody is parked any more.
    draining: bool,
}

type Sender = oneshot::Sender<Answer>;
type BySequence = HashMap<u64, Sender, BuildHasherDefault<SequenceHasher>>;

/// Sequences count up and no client chooses them, so that spreading their bits is enough.
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

impl Pending {
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub fn new(incarnation: Incarnation) -> Pending {
        Pending { incarnation, requests: Mutex::default(), settled: AtomicU64::new(0) }
    }

    /// Notes who waits, before the commands of these sequences go to the log.
    pub fn register(&self, sequences: RangeInclusive<u64>, answers: impl Iterator<Item = (u64, Sender)>) {
        let mut requests = self.lock();
        let tick = requests.tick;
        requests.handed.push_back((tick, sequences));
        requests.proposed.extend(answers);
    }

    /// Answers whom the entry answers. A queued acquire goes on waiting until an event ends its wait.
    pub fn answer(&self, applied: &mut Applied) {
        let mut requests = self.lock();
        let mut settled = 0;
        for (id, outcome) in applied.outcomes.drain(..) {
            if id.incarnation == self.incarnation {
                settled = id.sequence;
                requests.answer_command(id.sequence, outcome);
            }
        }
        if settled > 0 {
            self.settle(&mut requests, settled);
        }
        for event in &applied.events {
            let (command, answered) = match event {
                Event::WaiterGranted { command, grant, unconfirmed, .. } => {
                    (command, Answered::Waited { grant: grant.clone(), unconfirmed: *unconfirmed })
                }
                Event::WaiterEnded { command, why } => (command, Answered::Outcome(ended(*why))),
                _ => continue,
            };
            if command.incarnation == self.incarnation {
                send(requests.parked.remove(&command.sequence), Ok(answered));
            }
        }
    }

    /// The last own command that needs no sending again.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// Answers commands that were certainly not applied, and never will be.
    pub fn fail(&self, sequences: impl Iterator<Item = u64>, error: EngineError) {
        let mut requests = self.lock();
        sequences.for_each(|sequence| send(requests.proposed.remove(&sequence), Err(error)));
    }

    /// Counts a stretch of waiting; who was handed to the log `ticks` or more ago is told that its outcome is unknown.
    pub fn tick(&self, ticks: u64) {
        let mut requests = self.lock();
        requests.tick += 1;
        while let Some((at, sequences)) = requests.handed.front().cloned()
            && at + ticks <= requests.tick
        {
            requests.handed.pop_front();
            for sequence in sequences {
                send(requests.proposed.remove(&sequence), Err(EngineError::OutcomeUnknown));
            }
        }
    }

    /// The state was replaced by a snapshot: what happened in between was not seen. Who still waits in it waits on.
    pub fn resume_from(&self, table: &Table) {
        let waiting = table.waiting_commands(self.incarnation);
        let applied = table.last_sequence(self.incarnation);
        let mut requests = self.lock();
        let Requests { proposed, parked, .. } = &mut *requests;
        let seen: Vec<u64> = proposed.keys().copied().filter(|sequence| *sequence <= applied).collect();
        for sequence in seen {
            match (waiting.contains(&sequence), proposed.remove(&sequence)) {
                (true, Some(answer)) => _ = parked.insert(sequence, answer),
                (_, answer) => send(answer, Err(EngineError::OutcomeUnknown)),
            }
        }
        let gone: Vec<u64> = parked.keys().copied().filter(|sequence| !waiting.contains(sequence)).collect();
        gone.into_iter().for_each(|sequence| send(parked.remove(&sequence), Err(EngineError::OutcomeUnknown)));
        self.settle(&mut requests, applied);
    }

    /// Ends every wait, now and from now on: the server stops. Their guards take the acquires back.
    pub fn drain(&self) {
        let parked = {
            let mut requests = self.lock();
            requests.draining = true;
            std::mem::take(&mut requests.parked)
        };
        parked.into_values().for_each(|answer| send(Some(answer), Err(EngineError::ShuttingDown)));
    }

    /// The log reaches this node no more. What was handed over may be applied; who waits in a queue loses the place, and
    /// is not heard of when granted, so that the grant goes on to the next.
    pub fn abandon(&self, waiting: EngineError) {
        let (proposed, parked) = {
            let mut requests = self.lock();
            requests.handed.clear();
            (std::mem::take(&mut requests.proposed), std::mem::take(&mut requests.parked))
        };
        proposed.into_values().for_each(|answer| send(Some(answer), Err(EngineError::OutcomeUnknown)));
        parked.into_values().for_each(|answer| send(Some(answer), Err(waiting)));
    }

    fn settle(&self, requests: &mut Requests, sequence: u64) {
        self.settled.fetch_max(sequence, Ordering::AcqRel);
        while requests.handed.front().is_some_and(|(_, handed)| *handed.end() <= sequence) {
            requests.handed.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    fn answer_command(&mut self, sequence: u64, outcome: Outcome) {
        match outcome {
            // Its outcome went out when it was applied first.
            Outcome::Duplicate => {}
            Outcome::Queued { .. } if self.draining => {
                send(self.proposed.remove(&sequence), Err(EngineError::ShuttingDown));
            }
            Outcome::Queued { .. } => {
                let answer = self.proposed.remove(&sequence);
                self.parked.extend(answer.map(|answer| (sequence, answer)));
            }
            outcome => send(self.proposed.remove(&sequence), Ok(Answered::Outcome(outcome))),
        }
    }
}

fn ended(why: WaitEnd) -> Outcome {
    Outcome::Refused(match why {
        WaitEnd::TimedOut => Refusal::WaitTimedOut,
        WaitEnd::Cancelled => Refusal::WaitCancelled,
        WaitEnd::SessionEnded => Refusal::SessionUnknown,
    })
}

/// A receiver that is gone is no error: its guard has the acquire cancelled.
fn send(answer: Option<oneshot::Sender<Answer>>, outcome: Answer) {
    answer.map(|answer| answer.send(outcome));
}
