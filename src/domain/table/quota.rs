//! How much the table may hold: its limit in bytes, each caller's share of each pool, and quotas.

use super::Table;
use crate::domain::command::{Acquire, Command};
use crate::domain::ids::{Caller, Name, Token};
use crate::domain::limits::Feature;
use crate::domain::locks::{Lock, Place};
use crate::domain::quotas::{Counted, QuotaLimits, QuotaOf, Quotas};
use crate::domain::refusal::{Pool, Refusal, ShareOf};
use crate::domain::usage::{Usage, Usages};
use crate::domain::view::{QuotaUse, ShareView};
use std::sync::Arc;

impl Table {
    /// The memory that the table uses, by its own estimate.
    pub fn bytes(&self) -> u64 {
        self.usages.all.bytes.saturating_add(self.remembered_sizes.bytes()).saturating_add(self.freezes.bytes())
    }

    /// How much is used, in all and by each caller.
    pub fn usages(&self) -> &Usages {
        &self.usages
    }

    /// What a caller uses of each pool, by itself and from its address, and its share of each.
    pub fn shares_of(&self, caller: Caller) -> Vec<ShareView> {
        let of = |(whose, usage): (ShareOf, Usage)| {
            Pool::ALL.map(|pool| ShareView {
                pool,
                whose,
                used: usage.of(pool),
                limit: self.header.limits.share(pool, whose, caller),
            })
        };
        self.usages.of(caller).into_iter().flat_map(of).collect()
    }

    /// What is used of every quota.
    pub fn quota_uses(&self) -> Vec<QuotaUse> {
        let used = |of: &QuotaOf, counted| match of {
            QuotaOf::Credential { credential, .. } => self.usages.of_credential(*credential).counted(counted),
            QuotaOf::EachCredential => self.usages.most_of_each(counted),
            QuotaOf::Prefix(prefix) => self.usages.under(prefix).counted(counted),
        };
        self.header.quotas.iter().flat_map(|(of, limits)| uses(of, limits, |counted| used(of, counted))).collect()
    }

    /// The same of the quota of this caller's credential, and of those of prefixes under which it may see names.
    pub fn quota_uses_of(&self, caller: Caller, sees: impl Fn(&str) -> bool) -> Vec<QuotaUse> {
        let own = self.header.quotas.of_credential(caller).map(|(of, _)| of);
        let is_shown = |of: &QuotaOf| match of {
            QuotaOf::Prefix(prefix) => sees(prefix),
            QuotaOf::Credential { .. } | QuotaOf::EachCredential => Some(of) == own,
        };
        let used = |of: &QuotaOf| match of {
            QuotaOf::Prefix(prefix) => self.usages.under(prefix),
            QuotaOf::Credential { .. } | QuotaOf::EachCredential => self.usages.of_credential(caller.credential),
        };
        let shown = self.header.quotas.iter().filter(|(of, _)| is_shown(of));
        shown.flat_map(|(of, limits)| uses(of, limits, |counted| used(of).counted(counted))).collect()
    }

    /// Refuses a command for which there is no room once `waiting_bytes` that are on their way to the log are added.
    /// A command passes if it may turn out to add nothing, because only apply knows, or if nothing is ahead of it.
    pub fn check_room(&self, command: &Command, waiting_bytes: u64) -> Result<(), Refusal> {
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

    /// Sets the quotas. What is above them stays.
    pub(super) fn set_quotas(&mut self, quotas: Option<Arc<Quotas>>) {
        self.header.quotas = quotas.filter(|_| self.supports(Feature::Quotas)).unwrap_or_default();
        if !self.usages.set_quotas(self.header.quotas.clone()) {
            return;
        }
        for (name, lock) in self.locks.after(None) {
            lock.usages(name).for_each(|(_, usage)| self.usages.count_under(name, usage));
        }
    }

    /// Refuses a hold of each of these names, or a wait for them, that the quotas of their prefixes do not allow.
    pub(super) fn check_prefixes<'a>(&self, names: impl Iterator<Item = &'a Name>, waits: bool) -> Result<(), Refusal> {
        self.usages.check_prefixes(names, Usage { holds: 1, waiters: waits.into(), ..Usage::default() })
    }

    pub(super) fn check_usage(&self, caller: Caller, more: Usage) -> Result<(), Refusal> {
        let limits = &self.header.limits;
        self.usages.check_quota(caller, more)?;
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

/// For each thing that a quota counts.
fn uses(of: &QuotaOf, limits: &QuotaLimits, used: impl Fn(Counted) -> u64) -> Vec<QuotaUse> {
    let one = |counted| Some(QuotaUse { of: of.clone(), counted, used: used(counted), limit: limits.max(counted)? });
    Counted::ALL.into_iter().filter_map(one).collect()
}

impl Lock {
    /// What its holds, its waiters and its delay use, and whose they are.
    pub(in crate::domain) fn usages<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = (Caller, Usage)> + 'a {
        let holds = self.holds().iter().map(|hold| (hold.caller, hold.usage(name)));
        let waiters = self.queue().iter().map(|(_, waiter)| (waiter.caller, waiter.usage(name)));
        let delay = self.delay().and_then(|delay| delay.counts_for).map(|caller| (caller, Usage::of_delay(name)));
        holds.chain(waiters).chain(delay)
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
