//! What one log entry takes from the queue, and one command that waits in it.

use crate::domain::{Command, SessionId, Submitted};
use crate::engine::answer::AnswerSender;
use crate::engine::error::EngineError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How large one entry may become.
#[derive(Clone, Copy, Debug)]
pub struct BatchBounds {
    pub commands_max: usize,
    pub bytes_max: usize,
}

#[derive(Default)]
pub struct Batch {
    /// Commands of the leader itself. They belong to its leadership and are never sent again under another.
    pub leaders_own: Vec<Queued>,
    /// Commands that other nodes have forwarded, with their own ids.
    pub forwarded: Vec<Submitted>,
    pub queued: Vec<Queued>,
    /// Sessions that were seen.
    pub touches: Vec<SessionId>,
    pub more_touches: bool,
}

impl Batch {
    pub fn has_commands(&self) -> bool {
        !(self.leaders_own.is_empty() && self.forwarded.is_empty() && self.queued.is_empty())
    }

    fn len(&self) -> usize {
        self.leaders_own.len() + self.forwarded.len() + self.queued.len()
    }
}

impl BatchBounds {
    pub(super) fn are_reached(&self, batch: &Batch, bytes: usize) -> bool {
        batch.len() >= self.commands_max || bytes >= self.bytes_max
    }
}

/// About how many bytes a command takes in an entry.
pub(super) fn size_hint(command: &Command) -> usize {
    let metadata = match command {
        Command::Acquire(acquire) => acquire.metadata.iter().map(|(key, value)| key.len() + value.len() + 4).sum(),
        _ => 0,
    };
    64 + command.name().map_or(0, |name| name.len()) + metadata
}

/// Room that a command will take in the table, for as long as it waits for the log.
pub struct ReservedBytes {
    all: Arc<AtomicU64>,
    bytes: u64,
}

impl ReservedBytes {
    /// `None` for a command that adds nothing.
    pub fn of(command: &Command, all: &Arc<AtomicU64>) -> Option<ReservedBytes> {
        let bytes = command.min_bytes();
        (bytes > 0).then(|| {
            all.fetch_add(bytes, Ordering::Relaxed);
            ReservedBytes { all: Arc::clone(all), bytes }
        })
    }
}

impl Drop for ReservedBytes {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A command and the request that waits for its outcome.
pub struct Queued {
    pub command: Command,
    pub answer: Option<AnswerSender>,
    /// The tick in which it came: see `CommandQueue::tick`.
    pub tick: u64,
    _reserved: Option<ReservedBytes>,
}

impl Queued {
    pub fn new(command: Command, answer: Option<AnswerSender>, tick: u64, reserved: Option<ReservedBytes>) -> Queued {
        Queued { command, answer, tick, _reserved: reserved }
    }

    pub fn refuse(self, error: EngineError) {
        self.answer.map(|answer| answer.send(Err(error)));
    }

    /// Its caller is gone.
    pub fn is_abandoned_acquire(&self) -> bool {
        matches!(self.command, Command::Acquire(_)) && self.answer.as_ref().is_some_and(|answer| answer.is_closed())
    }
}
