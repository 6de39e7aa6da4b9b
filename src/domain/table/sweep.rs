//! After a freeze: holds end by force, and waiters are granted what has thawed, in bounded batches.
//!
//! The locks under a prefix are in no order of their own, which would cost every other lock something. So a sweep looks at
//! all locks, some thousands with each entry, and settles those that have something to do. A lock that is made behind it needs
//! no look: it is made under the freezes as they are.

use super::{Effects, Table, Vacancy};
use crate::domain::command::Force;
use crate::domain::freezes::{Covers, Sweep};
use crate::domain::ids::Name;
use crate::domain::locks::Lock;
use crate::domain::outcome::EndReason;

impl Table {
    /// The freezes of these names have changed.
    pub(super) fn settle_under(&mut self, effects: &mut Effects, target: &Name, covers: Covers) {
        let breaks = self.freezes.break_any() && self.locks.hold_count() > 0;
        match covers {
            Covers::Name => self.settle(effects, target),
            Covers::Prefix if breaks || self.locks.waiter_count() > 0 => {
                self.freezes.request_sweep();
                self.sweep(effects);
            }
            Covers::Prefix => {}
        }
    }

    /// Goes on with the sweep as far as the budget of the entry allows.
    pub(super) fn sweep(&mut self, effects: &mut Effects) {
        while effects.budget > 0
            && let Some(name) = self.next_to_settle(effects)
        {
            effects.budget -= 1;
            self.settle(effects, &name);
        }
    }

    /// The next lock that has something to do. `None` if there is no other, or enough were looked at.
    fn next_to_settle(&mut self, effects: &mut Effects) -> Option<Name> {
        while effects.looks > 0
            && let Some(sweep) = &self.freezes.sweep
        {
            let (mut seen, mut last) = (0, None);
            let mut locks = self.locks.after(sweep.after.as_ref()).take(effects.looks as usize);
            let found = locks.find(|(name, lock)| {
                (seen, last) = (seen + 1, Some(*name));
                self.needs_settling(name, lock)
            });
            let (found, last) = (found.map(|(name, _)| name.clone()), last.cloned());
            drop(locks);
            let is_enough = found.is_some() || seen == effects.looks;
            effects.looks -= seen;
            match &mut self.freezes.sweep {
                Some(sweep) if is_enough => sweep.after = last,
                sweep => Sweep::lap_ended(sweep),
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn needs_settling(&self, name: &Name, lock: &Lock) -> bool {
        let ends_holds = !lock.holds().is_empty() && self.freezes.breaks(name, self.header.now).is_some();
        ends_holds || (!lock.queue().is_empty() && self.next_in_queue(name).is_some())
    }

    /// Ends the holds of a lock if a freeze wants that, and grants it to its waiters if none keeps them waiting.
    fn settle(&mut self, effects: &mut Effects, name: &Name) {
        self.expire_lock(effects, name);
        let vacancy = self.break_holds(effects, name);
        self.grant_waiters(effects, name, vacancy);
        self.locks.recompute_next_deadline(name);
    }

    /// The history tells who froze, and why.
    fn break_holds(&mut self, effects: &mut Effects, name: &Name) -> Vacancy {
        let Some(freeze) = self.freezes.breaks(name, self.header.now) else { return Vacancy::default() };
        effects.force = Some(Box::new(Force { by: freeze.by.clone(), reason: freeze.reason.clone() }));
        let mut vacancy = Vacancy::default();
        for (hold, why) in self.locks.remove_holds(name, |_| Some(EndReason::Forced)) {
            vacancy = vacancy.and(self.hold_ended(effects, name, &hold, why));
        }
        effects.force = None;
        vacancy
    }
}
