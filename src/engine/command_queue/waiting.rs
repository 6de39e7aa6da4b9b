//! The content of the queue, and the order in which batches are taken from it.

use super::batch::{Batch, BatchBounds, Queued, size_hint};
use crate::domain::{Command, HoldKey, Name, SessionId, Submitted};
use crate::engine::error::EngineError;
use std::collections::{BTreeSet, VecDeque};

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
            if !queued.is_abandoned_acquire() {
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
