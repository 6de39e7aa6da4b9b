//! What one log entry takes from the queue.

use super::queued::Queued;
use crate::domain::{Command, SessionId, Submitted};

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
