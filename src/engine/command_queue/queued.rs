//! One command in the queue, and the room that is reserved for it.

use crate::domain::Command;
use crate::engine::answer::AnswerSender;
use crate::engine::error::EngineError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
