//! Quotas in the reference model: all holds, waiters, delays and sessions are counted anew for each question.

use super::Reference;
use latchd::domain::{Caller, Counted, Name, QuotaFull, QuotaLimits, QuotaOf, Quotas, Refusal};
use std::sync::Arc;

/// Holds with waiters and delays, sessions, waiters.
type Numbers = [u64; 3];

impl Reference {
    pub fn set_quotas(&mut self, quotas: Option<&Arc<Quotas>>) {
        let none = Arc::default();
        self.quotas = if self.level >= 12 { quotas.unwrap_or(&none).clone() } else { none };
    }

    /// The caller, where the table records it.
    pub fn recorded(&self, caller: Caller) -> Caller {
        if self.level >= 6 { caller } else { Caller::NOBODY }
    }

    /// Whether the quota of the caller's credential has so much more.
    pub fn check_quota(&self, caller: Caller, more: Numbers) -> Result<(), Refusal> {
        let caller = self.recorded(caller);
        if caller.credential == 0 {
            return Ok(());
        }
        let is_own =
            |of: &QuotaOf| matches!(of, QuotaOf::Credential { credential, .. } if *credential == caller.credential);
        let own = self.quotas.iter().find(|(of, _)| is_own(of));
        let quota = own.or_else(|| self.quotas.iter().find(|(of, _)| **of == QuotaOf::EachCredential));
        let used = self.used(|by, _| by.credential == caller.credential);
        let sessions = self.sessions.values().filter(|session| session.caller.credential == caller.credential);
        let used = [used[0], sessions.count() as u64, used[2]];
        quota.map_or(Ok(()), |(of, limits)| refuse(of, limits, used, more))
    }

    /// Whether the quotas of all prefixes have a hold, or a waiter, of each of these names.
    pub fn check_prefixes(&self, names: &[Name], waits: bool) -> Result<(), Refusal> {
        for (of, limits) in self.quotas.iter() {
            let QuotaOf::Prefix(prefix) = of else { continue };
            let asked = names.iter().filter(|name| name.starts_with(prefix.as_str())).count() as u64;
            let used = self.used(|_, name| name.starts_with(prefix.as_str()));
            refuse(of, limits, used, [asked, 0, if waits { asked } else { 0 }])?;
        }
        Ok(())
    }

    fn used(&self, counts: impl Fn(Caller, &Name) -> bool) -> Numbers {
        let count = |caller: Caller, names: Vec<Name>| names.iter().filter(|name| counts(caller, name)).count() as u64;
        let holds: u64 = self.holds.iter().map(|hold| count(hold.caller, hold.claim.names())).sum();
        let waiters: u64 = self.waiters.iter().map(|waiter| count(waiter.caller, waiter.claim.names())).sum();
        let is_delayed = |(name, _): &(&Name, &Caller)| self.delays.contains_key(*name);
        let delays = self.delayed_for.iter().filter(is_delayed).filter(|(name, by)| counts(**by, name)).count() as u64;
        [holds + waiters + delays, 0, waiters]
    }
}

fn refuse(of: &QuotaOf, limits: &QuotaLimits, used: Numbers, more: Numbers) -> Result<(), Refusal> {
    let all = [
        (Counted::Holds, limits.holds_max),
        (Counted::Sessions, limits.sessions_max),
        (Counted::Waiters, limits.waiters_max),
    ];
    for (at, (counted, limit)) in all.into_iter().enumerate() {
        if let Some(limit) = limit.filter(|limit| more[at] > 0 && used[at] + more[at] > *limit) {
            return Err(Refusal::QuotaFull(Box::new(QuotaFull { of: of.clone(), counted, limit })));
        }
    }
    Ok(())
}
