//! Freezes begin and end, and who is refused by one.
//!
//! Frozen is what would be granted anew: an acquire, the turn of a waiter, an upgrade. A hold goes on: it is renewed, asked for
//! again by its owner, downgraded, transferred, and returned to a retry of its request.

use super::{CommandResult, Effects, Table};
use crate::domain::command::{Force, FreezeOrder};
use crate::domain::freezes::{Covers, Freeze, FreezeHolds, FreezesView, FrozenBy};
use crate::domain::ids::Name;
use crate::domain::limits::check_max;
use crate::domain::outcome::{Event, Outcome, ThawReason};
use crate::domain::refusal::{Field, Refusal};
use crate::domain::time::Timestamp;

impl Table {
    pub(super) fn freeze_target(&mut self, effects: &mut Effects, order: FreezeOrder) -> CommandResult {
        self.check_freeze(&order)?;
        let now = self.header.now;
        let FreezeOrder { target, covers, holds, for_ms, reason, by } = order;
        let freeze = Freeze { covers, holds, reason, by, since: now, until: now.after_ms(for_ms) };
        let before = self.freezes.insert(target.clone(), freeze.clone());
        let freeze = Box::new(freeze);
        effects.events.push(Event::Frozen { target: target.clone(), freeze: freeze.clone() });
        if before.is_some_and(|before| before.covers == Covers::Prefix) && covers == Covers::Name {
            self.settle_under(effects, &target, Covers::Prefix);
        }
        if holds == FreezeHolds::Break {
            self.settle_under(effects, &target, covers);
        }
        Ok(Outcome::Frozen(freeze))
    }

    pub(super) fn check_freeze(&self, order: &FreezeOrder) -> Result<(), Refusal> {
        let limits = &self.header.limits;
        limits.check_name(&order.target)?;
        check_max(Field::FreezeTime, order.for_ms, limits.freeze_ms_max)?;
        let is_whole = order.for_ms > 0 && (1..=Force::TEXT_BYTES_MAX).contains(&order.reason.len());
        if !is_whole || order.by.len() > Force::TEXT_BYTES_MAX {
            return Err(Refusal::Broken("a freeze without an end or a reason"));
        }
        let (count, limit) = (self.freezes.len() as u64, limits.freezes_max);
        let is_full = count >= limit && self.freezes.get(&order.target).is_none();
        if is_full { Err(Refusal::FreezesFull { limit }) } else { Ok(()) }
    }

    pub(super) fn thaw(&mut self, effects: &mut Effects, target: &Name) -> CommandResult {
        let freeze = self.freezes.get(target).ok_or(Refusal::NoSuchFreeze)?;
        if freeze.until.is_past(self.header.now) {
            self.end_freeze(effects, target, ThawReason::Ended);
            return Err(Refusal::NoSuchFreeze);
        }
        let freeze = Box::new(freeze.clone());
        self.end_freeze(effects, target, ThawReason::Thawed);
        Ok(Outcome::Thawed(freeze))
    }

    pub(super) fn end_freeze(&mut self, effects: &mut Effects, target: &Name, why: ThawReason) {
        let Some(freeze) = self.freezes.remove(target) else { return };
        let covers = freeze.covers;
        effects.events.push(Event::Thawed { target: target.clone(), freeze: Box::new(freeze), why });
        self.settle_under(effects, target, covers);
    }

    /// The freeze of any of these names that lasts longest.
    pub(super) fn frozen_by<'a>(&self, names: impl Iterator<Item = &'a Name>, now: Timestamp) -> Option<Box<FrozenBy>> {
        if self.freezes.len() == 0 {
            return None;
        }
        let longest = names.filter_map(|name| Some(self.freezes.of(name, now)?.1.until).zip(Some(name))).max()?.1;
        self.freezes.of(longest, now).map(|(target, freeze)| Box::new(freeze.frozen_by(target, now)))
    }
}

/// What readers see.
impl Table {
    pub fn freezes(&self) -> FreezesView {
        self.freezes.view()
    }

    /// The freeze of this name that lasts longest.
    pub fn freeze_of(&self, name: &Name, now: Timestamp) -> Option<Box<FrozenBy>> {
        self.frozen_by(std::iter::once(name), now)
    }
}
