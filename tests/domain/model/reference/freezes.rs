//! Freezes in the reference model: every one of them is looked at for every name.

use super::{Reference, Waiter};
use latchd::domain::{
    Covers, EndReason, Event, Field, Force, Freeze, FreezeHolds, FreezeOrder, FrozenBy, Name, Outcome, Refusal,
    ThawReason,
};
use std::cmp::Reverse;

impl Reference {
    pub fn freeze(&mut self, order: &FreezeOrder) -> Result<Outcome, Refusal> {
        let limits = &self.limits;
        self.check_name(&order.target)?;
        if order.for_ms > limits.freeze_ms_max {
            return Err(Refusal::LimitExceeded { field: Field::FreezeTime, limit: limits.freeze_ms_max });
        }
        let is_whole = order.for_ms > 0 && !order.reason.is_empty() && order.reason.len() <= Force::TEXT_BYTES_MAX;
        if !is_whole || order.by.len() > Force::TEXT_BYTES_MAX {
            return Err(Refusal::Broken("a freeze without an end or a reason"));
        }
        let limit = limits.freezes_max;
        if !self.freezes.contains_key(&order.target) && self.freezes.len() as u64 >= limit {
            return Err(Refusal::FreezesFull { limit });
        }
        let FreezeOrder { target, covers, holds, reason, by, .. } = order.clone();
        let (since, until) = (self.now, self.now.after_ms(order.for_ms));
        let freeze = Freeze { covers, holds, reason, by, since, until };
        let before = self.freezes.insert(target.clone(), freeze.clone());
        self.expect(Event::Frozen { target: target.clone(), freeze: Box::new(freeze.clone()) });
        if before.is_some_and(|before| before.covers == Covers::Prefix) && covers == Covers::Name {
            self.settle_all();
        }
        if holds == FreezeHolds::Break {
            self.settle_under(&target, covers);
        }
        Ok(Outcome::Frozen(Box::new(freeze)))
    }

    pub fn thaw(&mut self, target: &Name) -> Result<Outcome, Refusal> {
        let freeze = self.freezes.get(target).cloned().ok_or(Refusal::NoSuchFreeze)?;
        self.end_freeze(target, ThawReason::Thawed);
        Ok(Outcome::Thawed(Box::new(freeze)))
    }

    /// Those whose time is over, in the order of their ends.
    pub fn end_freezes(&mut self) {
        let over = |freezes: &Reference| {
            let over = freezes.freezes.iter().filter(|(_, freeze)| freezes.now > freeze.until);
            over.min_by_key(|(target, freeze)| (freeze.until, (*target).clone())).map(|(target, _)| target.clone())
        };
        while let Some(target) = over(self) {
            self.end_freeze(&target, ThawReason::Ended);
        }
    }

    fn end_freeze(&mut self, target: &Name, why: ThawReason) {
        let Some(freeze) = self.freezes.remove(target) else { return };
        let covers = freeze.covers;
        self.expect(Event::Thawed { target: target.clone(), freeze: Box::new(freeze), why });
        self.settle_under(target, covers);
    }

    fn settle_under(&mut self, target: &Name, covers: Covers) {
        match covers {
            Covers::Name => self.settle(target),
            Covers::Prefix => self.settle_all(),
        }
    }

    /// Every lock that has a hold to end, or a waiter whose turn has come. Only the history of a name that several holds end
    /// under tells their order, which is that of the table: its hash happens to order the few names from the last to the first.
    fn settle_all(&mut self) {
        for name in self.names().into_iter().rev() {
            let has_turn = |waiter: &&Waiter| {
                waiter.claim.has(&name)
                    && self.is_first(waiter, &name)
                    && (self.is_gone(&waiter.owner) || self.can_be_granted(waiter))
            };
            let breaks = self.breaking(&name).is_some() && self.holds_of(&name).next().is_some();
            if breaks || self.line().iter().any(has_turn) {
                self.settle(&name);
            }
        }
    }

    fn settle(&mut self, name: &Name) {
        self.expire_lock(name);
        let mut left = vec![name.clone()];
        if let Some((_, freeze)) = self.breaking(name) {
            let freeze = freeze.clone();
            self.force = Some(Force { by: freeze.by.clone(), reason: freeze.reason.clone() });
            for hold in self.holds_of(name).cloned().collect::<Vec<_>>() {
                left.extend(hold.claim.names());
                self.end_hold(hold.token, EndReason::Forced);
            }
            self.force = None;
        }
        self.grant(left);
    }

    fn covering<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = (&'a Name, &'a Freeze)> {
        let covers = move |target: &Name, covers: Covers| match covers {
            Covers::Name => target == name,
            Covers::Prefix => name.starts_with(target.as_str()),
        };
        let all = self.freezes.iter().filter(|(_, freeze)| self.now <= freeze.until);
        all.filter(move |(target, freeze)| covers(target, freeze.covers))
    }

    /// The freeze that ends the holds of this name: of several that with the longest target.
    fn breaking<'a>(&'a self, name: &'a Name) -> Option<(&'a Name, &'a Freeze)> {
        let breaking = self.covering(name).filter(|(_, freeze)| freeze.holds == FreezeHolds::Break);
        breaking.max_by_key(|(target, _)| target.len())
    }

    /// Of all freezes of these names, the one that lasts longest: of equal ones that of the last name, and then the shortest.
    pub fn frozen_by(&self, names: &[Name], waited: bool) -> Option<Box<FrozenBy>> {
        let all = names.iter().flat_map(|name| self.covering(name).map(move |found| (name, found)));
        let (_, (target, freeze)) =
            all.max_by_key(|(name, (target, freeze))| (freeze.until, (*name).clone(), Reverse(target.len())))?;
        let remaining_ms = freeze.until.0 - self.now.0;
        let (target, covers, reason) = (target.clone(), freeze.covers, freeze.reason.clone());
        Some(Box::new(FrozenBy { target, covers, reason, remaining_ms, waited }))
    }
}
