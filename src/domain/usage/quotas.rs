//! What counts toward quotas.

use super::{Usage, Usages, changed};
use crate::domain::ids::{Caller, Name};
use crate::domain::quotas::{Counted, QuotaFull, QuotaLimits, QuotaOf, Quotas};
use crate::domain::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Usage {
    pub fn counted(self, counted: Counted) -> u64 {
        match counted {
            Counted::Holds => self.holds,
            Counted::Sessions => self.sessions,
            Counted::Waiters => self.waiters,
        }
    }

    /// The holds and waiters in it.
    fn places(self) -> Usage {
        Usage { holds: self.holds, waiters: self.waiters, ..Usage::NOTHING }
    }
}

impl Usages {
    /// Counts a hold or waiter of this name, or its delay.
    pub fn add_of(&mut self, name: &Name, caller: Caller, more: Usage) {
        self.add(caller, more);
        self.change_under(name, |usage| usage.and(more.places()));
    }

    pub fn remove_of(&mut self, name: &Name, caller: Caller, less: Usage) {
        self.remove(caller, less);
        self.change_under(name, |usage| usage.without(less.places()));
    }

    fn change_under(&mut self, name: &Name, change: impl Fn(Usage) -> Usage) {
        for prefix in self.quotas.prefixes_of(name) {
            changed(&mut self.by_prefix, prefix.clone(), &change);
        }
    }

    /// Whether prefixes have quotas that had none before, or the other way round: then all has to be counted again under
    /// them.
    pub fn set_quotas(&mut self, quotas: Arc<Quotas>) -> bool {
        let are_others = self.quotas.prefixes() != quotas.prefixes();
        self.quotas = quotas;
        if are_others {
            self.by_prefix.clear();
        }
        are_others
    }

    /// Counts what was there before its prefix had a quota.
    pub fn count_under(&mut self, name: &Name, more: Usage) {
        self.change_under(name, |usage| usage.and(more.places()));
    }

    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Holds and waiters under a prefix that has a quota.
    pub fn under(&self, prefix: &Name) -> Usage {
        self.by_prefix.get(prefix).copied().unwrap_or_default()
    }

    pub fn of_credential(&self, credential: u64) -> Usage {
        self.by_credential.get(&credential).copied().unwrap_or_default()
    }

    /// The most that any credential without a quota of its own uses.
    pub fn most_of_each(&self, counted: Counted) -> u64 {
        let others = self.by_credential.iter().filter(|(credential, _)| !self.quotas.has_own(**credential));
        others.map(|(_, usage)| usage.counted(counted)).max().unwrap_or(0)
    }

    /// Whether so much more is within the quota of the caller's credential.
    pub fn check_quota(&self, caller: Caller, more: Usage) -> Result<(), Refusal> {
        if self.quotas.is_empty() {
            return Ok(());
        }
        let used = self.of_credential(caller.credential);
        self.quotas.of_credential(caller).map_or(Ok(()), |(of, limits)| check(of, limits, used, more))
    }

    /// Whether the quotas of prefixes have room for so much more in each of these names.
    pub fn check_prefixes<'a>(&self, names: impl Iterator<Item = &'a Name>, more: Usage) -> Result<(), Refusal> {
        if self.quotas.prefixes().is_empty() {
            return Ok(());
        }
        let mut asked: BTreeMap<&Name, Usage> = BTreeMap::new();
        for prefix in names.flat_map(|name| self.quotas.prefixes_of(name)) {
            let all = asked.entry(prefix).or_default();
            *all = all.and(more);
        }
        asked.into_iter().try_for_each(|(prefix, more)| {
            let of = QuotaOf::Prefix(prefix.clone());
            self.quotas.get(&of).map_or(Ok(()), |limits| check(&of, limits, self.under(prefix), more))
        })
    }
}

/// Refuses what a quota has no room for.
fn check(of: &QuotaOf, limits: &QuotaLimits, used: Usage, more: Usage) -> Result<(), Refusal> {
    for counted in Counted::ALL {
        let (used, more) = (used.counted(counted), more.counted(counted));
        if let Some(limit) = limits.max(counted).filter(|max| more > 0 && used.saturating_add(more) > *max) {
            return Err(Refusal::QuotaFull(Box::new(QuotaFull { of: of.clone(), counted, limit })));
        }
    }
    Ok(())
}
