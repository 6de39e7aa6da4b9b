//! Quotas: the limit on the whole table, and each caller's share of it.

use super::Table;
use crate::domain::command::{Acquire, Command};
use crate::domain::ids::{Caller, Name, Token};
use crate::domain::locks::Place;
use crate::domain::refusal::{Pool, Refusal, ShareOf};
use crate::domain::usage::{Usage, Usages};
use crate::domain::view::QuotaView;

impl Table {
    /// The memory that the table uses, by its own estimate.
    pub fn bytes(&self) -> u64 {
        self.usages.all.bytes.saturating_add(self.remembered_sizes.bytes()).saturating_add(self.freezes.bytes())
    }

    /// How much is used, in all and by each caller.
    pub fn usages(&self) -> &Usages {
        &self.usages
    }

    /// What a caller uses of each pool, by itself and from its address, and its quotas.
    pub fn quotas_of(&self, caller: Caller) -> Vec<QuotaView> {
        let of = |(whose, usage): (ShareOf, Usage)| {
            Pool::ALL.map(|pool| QuotaView {
                pool,
                whose,
                used: usage.of(pool),
                limit: self.header.limits.share(pool, whose, caller),
            })
        };
        self.usages.of(caller).into_iter().flat_map(of).collect()
    }

    /// Refuses a command for which there is no room once `waiting_bytes` that are on their way to the log are added.
    /// A command passes if it may turn out to add nothing, because only apply knows, or if nothing is ahead of it.
    pub fn check_quota(&self, command: &Command, waiting_bytes: u64) -> Result<(), Refusal> {
        let limit = self.header.limits.table_bytes_max;
        let more = command.min_bytes();
        if limit == 0
            || more == 0
            || waiting_bytes == 0
            || self.bytes().saturating_add(waiting_bytes).saturating_add(more) <= limit
        {
            return Ok(());
        }
        let is_retry = command.idempotency_key().is_some_and(|key| self.idempotency_keys.get(key.id).is_some());
        let may_reenter = matches!(command, Command::Acquire(acquire) if acquire.reentrant);
        let is_marked = matches!(command, Command::RaiseMark { resource, .. } if self.has_mark(resource));
        if is_retry || may_reenter || is_marked { Ok(()) } else { Err(Refusal::TableFull { limit }) }
    }

    pub(super) fn check_usage(&self, caller: Caller, more: Usage) -> Result<(), Refusal> {
        let limits = &self.header.limits;
        if !limits.have_shares() || more.is_nothing() {
            return Ok(());
        }
        let limit = limits.table_bytes_max;
        if limit > 0 && self.bytes().saturating_add(more.bytes) > limit {
            return Err(Refusal::TableFull { limit });
        }
        self.usages.check_shares(caller, more, limits)
    }

    /// A hold that is acquired again may get more metadata, and an idempotency key.
    pub(super) fn check_hold_growth(&self, acquire: &Acquire, token: Token) -> Result<(), Refusal> {
        let hold = self.locks.hold(&acquire.name, token);
        let growth = hold.map_or_else(Usage::default, |hold| Usage::of_growth(&hold.metadata, &acquire.metadata));
        self.check_usage(acquire.caller, growth.and(acquire.key_usage()))
    }

    /// The same for a waiter. An idempotency key that it has already is replaced.
    pub(super) fn check_waiter_growth(&self, acquire: &Acquire, place: Place) -> Result<(), Refusal> {
        let waiter = self.locks.get(&acquire.name).and_then(|lock| lock.queue().get(&place));
        let Some(waiter) = waiter else { return Ok(()) };
        let growth = Usage::of_growth(&waiter.metadata, &acquire.metadata);
        let key = if waiter.idempotency_id.is_none() { acquire.key_usage() } else { Usage::default() };
        self.check_usage(acquire.caller, growth.and(key))
    }
}

impl Command {
    /// What it adds to the table if it is granted; 0 for a command that only frees, renews or reports.
    pub fn min_bytes(&self) -> u64 {
        match self {
            Command::Acquire(acquire) => acquire.usage(true).bytes,
            Command::RaiseMark { resource, .. } => Usage::of_mark(resource).bytes,
            Command::OpenSession { idempotency_key, .. } => Usage::of_new_session(idempotency_key.is_some()).bytes,
            _ => 0,
        }
    }
}

impl Acquire {
    /// What it adds if it is granted at once, or else if it waits.
    pub(super) fn usage(&self, granted: bool) -> Usage {
        let label = self.label.as_deref().filter(|_| self.session.is_none());
        let of = if granted { Usage::of_hold } else { Usage::of_waiter };
        let part = |(name, _): (&Name, u32)| of(name, label, &self.metadata).with_terms(self.terms.as_deref());
        self.places().map(part).fold(self.key_usage(), Usage::and)
    }

    fn key_usage(&self) -> Usage {
        self.idempotency_key.map_or_else(Usage::default, |_| Usage::of_idempotency_key(Some(&self.name)))
    }
}
