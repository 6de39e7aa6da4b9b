//! Which request waits for which command. Local to this node, never replicated.

use super::error::EngineError;
use crate::domain::{Applied, Event, Incarnation, Outcome, Refusal, WaitEnd};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

pub type Answer = Result<Outcome, EngineError>;

/// The requests of this process, by the sequence of their command.
pub struct Pending {
    incarnation: Incarnation,
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests {
    /// Their command is in the log or on its way there.
    proposed: HashMap<u64, Sender>,
    /// Their acquire waits in a queue.
    parked: HashMap<u64, Sender>,
    /// The server drains: nobody is parked any more.
    draining: bool,
}

type Sender = oneshot::Sender<Answer>;

impl Pending {
    pub fn new(incarnation: Incarnation) -> Pending {
        Pending { incarnation, requests: Mutex::default() }
    }

    /// Notes who waits, before the commands go to the log.
    pub fn register(&self, answers: impl Iterator<Item = (u64, Sender)>) {
        self.lock().proposed.extend(answers);
    }

    /// Answers whom the entry answers. A queued acquire goes on waiting until an event ends its wait.
    pub fn answer(&self, applied: &mut Applied) {
        let mut requests = self.lock();
        for (id, outcome) in applied.outcomes.drain(..) {
            if id.incarnation == self.incarnation {
                requests.answer_command(id.sequence, outcome);
            }
        }
        for event in &applied.events {
            let (command, outcome) = match event {
                Event::WaiterGranted { command, grant, .. } => (command, Outcome::Acquired(grant.clone())),
                Event::WaiterEnded { command, why } => (command, ended(*why)),
                _ => continue,
            };
            if command.incarnation == self.incarnation {
                send(requests.parked.remove(&command.sequence), Ok(outcome));
            }
        }
    }

    /// Answers the commands of an entry that was not applied.
    pub fn fail(&self, sequences: impl Iterator<Item = u64>, error: EngineError) {
        let mut requests = self.lock();
        sequences.for_each(|sequence| send(requests.proposed.remove(&sequence), Err(error)));
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

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    fn answer_command(&mut self, sequence: u64, outcome: Outcome) {
        let answer = self.proposed.remove(&sequence);
        match outcome {
            Outcome::Duplicate => {}
            Outcome::Queued { .. } if self.draining => send(answer, Err(EngineError::ShuttingDown)),
            Outcome::Queued { .. } => self.parked.extend(answer.map(|answer| (sequence, answer))),
            outcome => send(answer, Ok(outcome)),
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
