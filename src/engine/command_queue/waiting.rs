//! The content of the queue: commands with the requests that wait for them, and the order in which batches are taken.

use super::answer_sender::AnswerSender;
use crate::domain::{Command, HoldKey, Name, Proof, SessionId, Submitted};
use crate::engine::error::EngineError;
use std::collections::{BTreeSet, VecDeque};
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
    let more = match command {
        Command::Acquire(acquire) => {
            let metadata: usize = acquire.metadata.iter().map(|(key, value)| key.len() + value.len() + 4).sum();
            metadata + acquire.terms.as_ref().map_or(0, |terms| terms.text_bytes() as usize)
        }
        Command::SetValue { value, .. } => value.len(),
        Command::Release { proof: Proof::OfNames { names, .. }, .. }
        | Command::Renew { proof: Proof::OfNames { names, .. }, .. } => names.iter().map(|name| name.len()).sum(),
        Command::RaiseMark { resource, .. } => resource.len(),
        _ => 0,
    };
    64 + command.name().map_or(0, |name| name.len()) + more
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
        if let Some(answer) = self.answer {
            answer.send(Err(error));
        }
    }

    /// Its caller is gone, and nobody would hear of what it waits for.
    pub fn is_abandoned_wait(&self) -> bool {
        matches!(self.command, Command::Acquire(_) | Command::Upgrade(_))
            && self.answer.as_ref().is_some_and(|answer| answer.is_closed())
    }
}

/// Touches in one entry; the rest waits for the next, and until then no session ends idle.
const TOUCHES_MAX: usize = 1024;

#[derive(Default)]
pub struct Waiting {
    /// Why nothing is let in any more.
    pub closed: Option<EngineError>,
    /// The epoch of this node's leadership, while it leads: other nodes may forward commands.
    pub leading: Option<u64>,
    pub commands: VecDeque<Queued>,
    pub cancels: VecDeque<(Name, HoldKey)>,
    pub forwarded: VecDeque<Submitted>,
    pub forwarded_bytes: usize,
    pub leaders_own: Vec<Queued>,
    pub touches: BTreeSet<SessionId>,
    /// A follower sends touches at once, because another node decides about the sessions.
    pub wakes_for_touches: bool,
    /// A request that submits a command takes what waits: the proposer need not wake.
    pub taken_by_submitters: bool,
    pub tick: u64,
}

impl Waiting {
    pub fn take_batch(&mut self, bounds: BatchBounds) -> Batch {
        let mut batch = Batch { leaders_own: std::mem::take(&mut self.leaders_own), ..Batch::default() };
        let mut bytes = batch.leaders_own.len() * 64;
        // Other nodes fill at most half, so that neither they nor this node's own requests starve.
        let half = BatchBounds { commands_max: bounds.commands_max.div_ceil(2), bytes_max: bounds.bytes_max / 2 };
        self.take_forwarded(&mut batch, &mut bytes, half);
        self.take_own(&mut batch, &mut bytes, bounds);
        self.take_forwarded(&mut batch, &mut bytes, bounds);
        batch
    }

    /// Whether nothing waits but touches that fit one entry.
    pub fn has_only_touches(&self) -> bool {
        !self.has_more() && self.leaders_own.is_empty() && self.touches.len() <= TOUCHES_MAX
    }

    pub fn has_more(&self) -> bool {
        !self.commands.is_empty() || !self.cancels.is_empty() || !self.forwarded.is_empty()
    }

    fn take_forwarded(&mut self, batch: &mut Batch, bytes: &mut usize, bounds: BatchBounds) {
        while !bounds.are_reached(batch, *bytes)
            && let Some(submitted) = self.forwarded.pop_front()
        {
            let size = size_hint(&submitted.command);
            *bytes += size;
            self.forwarded_bytes = self.forwarded_bytes.saturating_sub(size);
            batch.forwarded.push(submitted);
        }
    }

    fn take_own(&mut self, batch: &mut Batch, bytes: &mut usize, bounds: BatchBounds) {
        while !bounds.are_reached(batch, *bytes)
            && let Some((name, key)) = self.cancels.pop_front()
        {
            *bytes += name.len() + 32;
            let command = Command::Cancel { name, key };
            batch.queued.push(Queued::new(command, None, self.tick, None));
        }
        while !bounds.are_reached(batch, *bytes)
            && let Some(queued) = self.commands.pop_front()
        {
            if !queued.is_abandoned_wait() {
                *bytes += size_hint(&queued.command);
                batch.queued.push(queued);
            }
        }
    }

    pub fn take_touches(&mut self, batch: &mut Batch) {
        if self.touches.len() <= TOUCHES_MAX {
            batch.touches = std::mem::take(&mut self.touches).into_iter().collect();
            return;
        }
        batch.touches = self.touches.iter().take(TOUCHES_MAX).copied().collect();
        batch.touches.iter().for_each(|session| {
            self.touches.remove(session);
        });
        batch.more_touches = true;
    }
}
