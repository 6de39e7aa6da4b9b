//! What waits to become the next log entry: commands, cancels and sightings of sessions.
//!
//! Bounded: commands by `storage.queue_commands_max`; cancels by the acquires that were let in; sightings by the
//! number of sessions.

use super::error::EngineError;
use super::pending::Answer;
use crate::domain::{Command, HoldKey, Name, SessionId};
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// How large one entry may become.
#[derive(Clone, Copy, Debug)]
pub struct BatchBounds {
    pub commands_max: usize,
    pub bytes_max: usize,
}

/// Sightings in one entry; the rest waits for the next, and until then no session ends idle.
const TOUCHES_MAX: usize = 1024;

/// A command and whoever waits for its outcome.
pub struct Queued {
    pub command: Command,
    pub answer: Option<oneshot::Sender<Answer>>,
}

#[derive(Default)]
pub struct Batch {
    pub queued: Vec<Queued>,
    pub touches: Vec<SessionId>,
    pub more_touches: bool,
}

pub struct Intake {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    commands_max: usize,
}

#[derive(Default)]
struct Waiting {
    open: bool,
    commands: VecDeque<Queued>,
    cancels: VecDeque<(Name, HoldKey)>,
    touches: HashSet<SessionId>,
}

impl Intake {
    pub fn new(commands_max: usize) -> Intake {
        Intake { waiting: Mutex::default(), arrived: Notify::new(), commands_max }
    }

    /// Lets commands in while this node leads; refuses them otherwise, before anything is proposed.
    pub fn set_open(&self, open: bool) {
        let refused = {
            let mut waiting = self.lock();
            waiting.open = open;
            if open { VecDeque::new() } else { std::mem::take(&mut waiting.commands) }
        };
        for queued in refused {
            queued.answer.map(|answer| answer.send(Err(EngineError::NoQuorum)));
        }
    }

    pub fn submit(&self, command: Command) -> Result<oneshot::Receiver<Answer>, EngineError> {
        let (answer, receiver) = oneshot::channel();
        let wakes = {
            let mut waiting = self.lock();
            if !waiting.open {
                return Err(EngineError::NoQuorum);
            }
            if waiting.commands.len() >= self.commands_max {
                return Err(EngineError::Overloaded);
            }
            waiting.commands.push_back(Queued { command, answer: Some(answer) });
            waiting.commands.len() == 1
        };
        if wakes {
            self.arrived.notify_one();
        }
        Ok(receiver)
    }

    /// Takes an acquire back whose receiver was dropped before this call (see [`Intake::next`]).
    pub fn cancel(&self, name: Name, key: HoldKey) {
        self.lock().cancels.push_back((name, key));
        self.arrived.notify_one();
    }

    /// Notes that a request of this session was seen; goes out with the next entry.
    pub fn touch(&self, session: SessionId) {
        self.lock().touches.insert(session);
    }

    pub async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Takes the next batch; empty if nothing waits.
    ///
    /// An acquire whose caller is gone is skipped here. A cancel was noted after its receiver was dropped, so either
    /// the acquire is skipped, or it went into an earlier entry than its cancel: never the other way round.
    pub fn next(&self, bounds: BatchBounds) -> Batch {
        let mut waiting = self.lock();
        let mut batch = Batch::default();
        let mut bytes = 0;
        let full = |batch: &Batch, bytes: usize| batch.queued.len() >= bounds.commands_max || bytes >= bounds.bytes_max;
        while !full(&batch, bytes)
            && let Some((name, key)) = waiting.cancels.pop_front()
        {
            bytes += name.len() + 32;
            batch.queued.push(Queued { command: Command::Cancel { name, key }, answer: None });
        }
        while !full(&batch, bytes)
            && let Some(queued) = waiting.commands.pop_front()
        {
            let is_abandoned_acquire = matches!(queued.command, Command::Acquire(_))
                && queued.answer.as_ref().is_some_and(|answer| answer.is_closed());
            if !is_abandoned_acquire {
                bytes += size_hint(&queued.command);
                batch.queued.push(queued);
            }
        }
        if !waiting.commands.is_empty() || !waiting.cancels.is_empty() {
            self.arrived.notify_one();
        }
        waiting.take_touches(&mut batch);
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take_touches(&mut self, batch: &mut Batch) {
        if self.touches.len() <= TOUCHES_MAX {
            batch.touches = self.touches.drain().collect();
            return;
        }
        batch.touches = self.touches.iter().take(TOUCHES_MAX).copied().collect();
        batch.touches.iter().for_each(|session| {
            self.touches.remove(session);
        });
        batch.more_touches = true;
    }
}

/// About how many bytes a command takes in an entry.
fn size_hint(command: &Command) -> usize {
    let metadata = match command {
        Command::Acquire(acquire) => acquire.metadata.iter().map(|(key, value)| key.len() + value.len() + 4).sum(),
        _ => 0,
    };
    64 + command.name().map_or(0, |name| name.len()) + metadata
}
