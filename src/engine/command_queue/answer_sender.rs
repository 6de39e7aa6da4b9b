//! Who waits for the outcome of a command; for a traced request also where the time goes until then.

use crate::base::clock::process_age;
use crate::base::request_times::{self, RequestTimes, Step, StepKind, TraceParent};
use crate::domain::{Grant, Name, Outcome};
use crate::engine::error::EngineError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The result of a command, as the request that waits for it receives it.
pub type Answer = Result<Answered, EngineError>;
pub type AnswerReceiver = oneshot::Receiver<Answer>;

#[derive(Debug)]
pub enum Answered {
    Outcome(Outcome),
    /// The wait for a hold ended with this grant.
    GrantedAfterWait {
        grant: Grant,
        /// This node must have the grant confirmed before it answers.
        unconfirmed: bool,
    },
}

#[derive(Debug)]
pub struct AnswerSender {
    sender: oneshot::Sender<Answer>,
    traced: Option<Box<Traced>>,
}

/// A traced command, on its way through the log.
#[derive(Debug)]
pub struct Traced {
    times: Arc<RequestTimes>,
    lock: Option<Name>,
    /// When the present step began.
    since: Duration,
}

/// How an entry was applied here.
#[derive(Clone, Copy)]
pub struct EntryTimes {
    /// When that began.
    pub apply: Duration,
    /// The last flush of the log of this node.
    pub flush: Option<(Duration, Duration)>,
    pub commands: usize,
}

impl AnswerSender {
    /// For a command of the running request that names this lock.
    pub fn new(lock: Option<&Name>) -> (AnswerSender, AnswerReceiver) {
        let (sender, receiver) = oneshot::channel();
        let traced = |times| Box::new(Traced { times, lock: lock.cloned(), since: process_age() });
        (AnswerSender { sender, traced: request_times::current().map(traced) }, receiver)
    }

    /// A receiver that is gone is no error: its guard cancels the acquire.
    pub fn send(self, answer: Answer) {
        _ = self.sender.send(answer);
    }

    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// The command goes to the log.
    pub fn handed_on(&mut self) {
        if let Some(traced) = &mut self.traced {
            traced.handed_on();
        }
    }

    /// The entry of the command is applied.
    pub fn applied(&mut self, entry: Option<EntryTimes>) {
        if let (Some(traced), Some(entry)) = (&mut self.traced, entry) {
            traced.applied(entry);
        }
    }

    /// The span of the request, if it is traced.
    pub fn parent(&self) -> Option<TraceParent> {
        self.traced.as_ref()?.times.parent()
    }

    /// The wait in the queue of a lock is over.
    pub fn waited(&mut self) {
        if let Some(traced) = &mut self.traced {
            traced.step_ends(StepKind::Wait, 0);
        }
    }
}

impl Traced {
    /// A command that another node has forwarded for a traced request.
    pub fn forwarded(lock: Option<&Name>) -> Traced {
        Traced { times: Arc::default(), lock: lock.cloned(), since: process_age() }
    }

    /// Goes to the log.
    pub fn handed_on(&mut self) {
        self.step_ends(StepKind::Queue, 0);
    }

    /// Its entry is applied.
    pub fn applied(&mut self, entry: EntryTimes) {
        let began = self.since;
        if let Some((flush, flushed)) = entry.flush.filter(|(flush, _)| *flush >= began) {
            self.note(StepKind::Flush, flush, flushed, entry.commands);
        }
        self.note(StepKind::Apply, entry.apply, process_age(), entry.commands);
        self.step_ends(StepKind::Commit, entry.commands);
    }

    pub fn steps(&self) -> Vec<Step> {
        self.times.take()
    }

    fn step_ends(&mut self, kind: StepKind, commands: usize) {
        let now = process_age();
        self.note(kind, self.since, now, commands);
        self.since = now;
    }

    fn note(&self, kind: StepKind, began: Duration, ended: Duration, commands: usize) {
        self.times.note(Step { kind, began, ended, commands, lock: self.lock.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(times: &RequestTimes) -> Vec<(StepKind, usize)> {
        times.take().iter().map(|step| (step.kind, step.commands)).collect()
    }

    #[tokio::test]
    async fn steps_of_a_traced_request_follow_one_another() {
        let times = Arc::new(RequestTimes::default());
        let name = Name::from("deploy");
        let new = || std::future::ready(AnswerSender::new(Some(&name)));
        let (mut answer, _receiver) = request_times::scope(Some(times.clone()), || async { new().await }).await;
        answer.handed_on();
        let now = process_age();
        let before = Some((Duration::ZERO, Duration::ZERO));
        answer.applied(Some(EntryTimes { apply: now, flush: Some((now, now)), commands: 3 }));
        answer.waited();
        answer.applied(Some(EntryTimes { apply: now, flush: before, commands: 1 }));
        use StepKind::{Apply, Commit, Flush, Queue, Wait};
        let expected = [(Queue, 0), (Flush, 3), (Apply, 3), (Commit, 3), (Wait, 0), (Apply, 1), (Commit, 1)];
        assert_eq!(kinds(&times), expected, "a flush that ended before is not one of this entry");
        let (mut untraced, _receiver) = AnswerSender::new(None);
        untraced.handed_on();
        assert!(kinds(&times).is_empty());
    }
}
