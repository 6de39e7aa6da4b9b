//! Whether there is room for more: in the table as a whole, and in the share of whoever asks.

use super::caller::Caller;
use super::command::{Acquire, Command};
use super::lock::Place;
use super::outcome::Refusal;
use super::table::Table;
use super::usage::{Usage, Usages, of_text};

impl Table {
    /// What the table takes in memory, by its own count.
    pub fn bytes(&self) -> u64 {
        self.index.usages.all.bytes.saturating_add(self.remembered.bytes())
    }

    /// How much there is, and whose.
    pub fn usages(&self) -> &Usages {
        &self.index.usages
    }

    /// Refuses a command for which there will be no room once `waiting_bytes` that are on their way to the log are added.
    /// What may turn out to add nothing passes, for apply knows, and so does what nothing is ahead of.
    pub fn check_quota(&self, command: &Command, waiting_bytes: u64) -> Result<(), Refusal> {
        let limit = self.limits.table_bytes_max;
        let more = command.min_bytes();
        if limit == 0
            || more == 0
            || waiting_bytes == 0
            || self.bytes().saturating_add(waiting_bytes).saturating_add(more) <= limit
        {
            return Ok(());
        }
        let is_retry = command.idempotency_key().is_some_and(|request| self.requests.get(&request.id).is_some());
        let may_be_held = matches!(command, Command::Acquire(acquire) if acquire.reentrant);
        if is_retry || may_be_held { Ok(()) } else { Err(Refusal::TableFull { limit }) }
    }

    pub(super) fn check_usage(&self, caller: Caller, more: Usage) -> Result<(), Refusal> {
        let limits = &self.limits;
        if !limits.have_shares() || more.is_nothing() {
            return Ok(());
        }
        let limit = limits.table_bytes_max;
        if limit > 0 && self.bytes().saturating_add(more.bytes) > limit {
            return Err(Refusal::TableFull { limit });
        }
        self.index.usages.check_shares(caller, more, limits)
    }

    /// An owner label that has a hold may say more of itself, and bring an idempotency key.
    pub(super) fn check_growing_hold(&self, acquire: &Acquire, at: usize) -> Result<(), Refusal> {
        let hold = self.locks.get(&acquire.name).and_then(|lock| lock.holds.get(at));
        let growth = hold.map_or_else(Usage::default, |hold| Usage::of_growth(&hold.metadata, &acquire.metadata));
        let key = Usage::of_key(acquire.idempotency_key, of_text(&acquire.name));
        self.check_usage(acquire.caller, growth.and(key))
    }

    /// The same for one that waits. A key that it has already takes the place of itself.
    pub(super) fn check_growing_wait(&self, acquire: &Acquire, place: Place) -> Result<(), Refusal> {
        let waiter = self.locks.get(&acquire.name).and_then(|lock| lock.queue.get(&place));
        let Some(waiter) = waiter else { return Ok(()) };
        let growth = Usage::of_growth(&waiter.metadata, &acquire.metadata);
        let key = acquire.idempotency_key.filter(|_| waiter.request.is_none());
        self.check_usage(acquire.caller, growth.and(Usage::of_key(key, of_text(&acquire.name))))
    }
}

impl Command {
    /// What it adds to the table if it is granted: 0 for all that gives back, renews or tells.
    pub fn min_bytes(&self) -> u64 {
        match self {
            Command::Acquire(acquire) => Usage::of_acquire(acquire, true).bytes,
            Command::OpenSession { idempotency_key, .. } => {
                Usage::SESSION.and(Usage::of_key(*idempotency_key, 0)).bytes
            }
            _ => 0,
        }
    }
}
