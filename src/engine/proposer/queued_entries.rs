//! What waits in the command queue of a node without peers, as log entries. A request that submits a command takes what waits
//! into the log in its own task, so that no request waits for another task to run.

use super::unsettled_commands::UnsettledCommands;
use crate::base::histogram::Histogram;
use crate::domain::{Body, Entry};
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::command_queue::{BatchBounds, CommandQueue};
use crate::engine::table_host::TableHost;
use crate::raft::EntrySource;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What waits in the command queue, as entries of this node's leadership.
pub struct QueuedEntries {
    host: Arc<TableHost>,
    queue: Arc<CommandQueue>,
    clock: Arc<ClusterClock>,
    commit_time: Arc<Histogram>,
    bounds: BatchBounds,
    numbering: Mutex<Numbering>,
    /// An entry is due even if no command waits: it carries the time.
    tick_requested: AtomicBool,
    /// Cluster time in milliseconds at which the proposer wakes by itself.
    wakes_at_ms: AtomicU64,
}

struct Numbering {
    commands: UnsettledCommands,
    /// The epoch of this node's leadership, while it is open.
    epoch: Option<u64>,
}

impl QueuedEntries {
    pub fn new(
        host: Arc<TableHost>,
        queue: Arc<CommandQueue>,
        clock: Arc<ClusterClock>,
        commit_time: Arc<Histogram>,
        bounds: BatchBounds,
    ) -> QueuedEntries {
        let numbering = Mutex::new(Numbering { commands: UnsettledCommands::new(host.clone()), epoch: None });
        let (tick_requested, wakes_at_ms) = (AtomicBool::new(false), AtomicU64::new(0));
        QueuedEntries { host, queue, clock, commit_time, bounds, numbering, tick_requested, wakes_at_ms }
    }

    /// Entries are taken in this leadership, or none are.
    pub fn set_epoch(&self, epoch: Option<u64>) {
        self.numbering.lock().epoch = epoch;
        self.queue.set_taken_by_submitters(epoch.is_some());
    }

    /// How long the proposer may sleep, at most `longest`: an entry that brings an earlier deadline wakes it.
    pub fn sleep_until_tick(&self, longest: Duration) -> Duration {
        // The lock orders this with the entries that are applied.
        let table = self.host.table();
        let next = table.next_deadline();
        self.wakes_at_ms.store(next.map_or(u64::MAX, |deadline| deadline.0), Ordering::Relaxed);
        next.map_or(longest, |deadline| self.clock.until_past(deadline).min(longest))
    }

    /// The next entry carries the time, even if no command waits. When it is applied and a deadline is left, the proposer
    /// wakes.
    pub fn request_tick(&self) {
        self.wakes_at_ms.store(u64::MAX, Ordering::Relaxed);
        self.tick_requested.store(true, Ordering::Relaxed);
    }
}

impl EntrySource for QueuedEntries {
    fn next(&self) -> Option<Bytes> {
        let mut numbering = self.numbering.lock();
        let epoch = numbering.epoch?;
        let ticks = self.tick_requested.swap(false, Ordering::Relaxed);
        let batch = if ticks { self.queue.next(self.bounds) } else { self.queue.next_commands(self.bounds)? };
        if !ticks && !batch.has_commands() && !batch.more_touches {
            // Only acquires whose callers are gone. Touches alone make no entry.
            batch.touches.into_iter().for_each(|session| self.queue.touch(session));
            return None;
        }
        let mut commands = Vec::with_capacity(batch.queued.len());
        numbering.commands.number(batch.leaders_own, &mut commands);
        numbering.commands.number(batch.queued, &mut commands);
        let body = Body::Batch { touches: batch.touches, more_touches: batch.more_touches, commands };
        Some(self.host.encode(Entry { at: self.clock.stamp(), epoch, body }))
    }

    fn applied(&self, took: Duration) {
        self.clock.stamp_applied();
        self.commit_time.observe_duration(took);
        let next = self.host.table().next_deadline();
        if next.is_some_and(|deadline| deadline.0 < self.wakes_at_ms.load(Ordering::Relaxed)) {
            self.queue.wake();
        }
    }
}
