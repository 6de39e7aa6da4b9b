//! What happens when a hold ends: by a release, by expiry, or because no client will hear of it.

use super::{Effects, Table, Vacancy};
use crate::domain::ids::{Name, Token};
use crate::domain::limits::Feature;
use crate::domain::locks::{Delay, Hold, Lock};
use crate::domain::outcome::{EndReason, Event, WaitEnd};
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;
use crate::mutants::planted;

impl Table {
    pub(super) fn end_hold(&mut self, effects: &mut Effects, name: &Name, token: Token, why: EndReason) -> Vacancy {
        match self.locks.remove_hold(name, token) {
            Some(hold) => self.hold_ended(effects, name, &hold, why),
            None => Vacancy::default(),
        }
    }

    /// After a hold was removed from its locks.
    pub(super) fn hold_ended(&mut self, effects: &mut Effects, name: &Name, hold: &Hold, why: EndReason) -> Vacancy {
        if let Some(id) = hold.idempotency_id() {
            self.idempotency_keys.end(id, &mut self.usages);
        }
        self.hold_removed(effects, name, hold, why)
    }

    /// As [`Table::hold_ended`], but the idempotency record stays.
    pub(super) fn hold_removed(&mut self, effects: &mut Effects, name: &Name, hold: &Hold, why: EndReason) -> Vacancy {
        let session = hold.owner.session();
        for name in hold.places(name) {
            effects.budget = effects.budget.saturating_sub(1);
            self.usages.remove_of(name, hold.caller, hold.usage(name));
            session.into_iter().for_each(|session| self.sessions.remove_hold(session));
            effects.ended(name.clone(), hold, why);
            self.delay_next(name, hold, why);
            self.remember_end(effects, name, hold, why);
        }
        self.end_upgrade(effects, name, hold.token);
        Vacancy::among(hold.names())
    }

    /// Its owner may not know yet that the hold has ended, or somebody may rely on who leads.
    fn delay_next(&mut self, name: &Name, hold: &Hold, why: EndReason) {
        let Some(terms) = hold.terms() else { return };
        let now = self.header.now;
        if self.is_unclean(hold, why) && terms.lock_delay_ms > 0 && !planted!("lock-delay-forgotten") {
            self.delay(name, now.after_ms(terms.lock_delay_ms), hold);
        }
        let relied_on_until =
            hold.deadline.moment().map(|end| end.min(now.after_ms(self.header.limits.election_reliable_ms)));
        if let Some(until) = relied_on_until.filter(|until| terms.value.is_some() && *until >= now) {
            self.delay(name, until, hold);
        }
    }

    /// An earlier, longer delay stays.
    fn delay(&mut self, name: &Name, until: Timestamp, hold: &Hold) {
        let Some(lock) = self.locks.get(name) else { return };
        if lock.delay().is_some_and(|before| before.until >= until) {
            return;
        }
        self.end_delay(name);
        let counts_for = self.supports(Feature::ModeBounds).then_some(hold.caller);
        counts_for.into_iter().for_each(|caller| self.usages.add_of(name, caller, Usage::of_delay(name)));
        self.locks.delay(name, Delay { until, token: hold.token, counts_for });
    }

    pub(super) fn end_delay_if_over(&mut self, name: &Name) {
        let delay = self.locks.get(name).and_then(Lock::delay);
        if delay.is_some_and(|delay| delay.until.is_past(self.header.now)) {
            self.end_delay(name);
        }
    }

    fn end_delay(&mut self, name: &Name) {
        let counts_for = self.locks.get(name).and_then(Lock::delay).and_then(|delay| delay.counts_for);
        counts_for.into_iter().for_each(|caller| self.usages.remove_of(name, caller, Usage::of_delay(name)));
        self.locks.end_delay(name);
    }

    /// A release, also by an operator, and a session that is closed are clean ends.
    fn is_unclean(&self, hold: &Hold, why: EndReason) -> bool {
        let session = || hold.owner.session().and_then(|session| self.sessions.get(session));
        match why {
            EndReason::Expired => true,
            EndReason::SessionEnded => session().is_some_and(|session| session.timed_out.is_some()),
            // No client has heard of a cancelled hold.
            EndReason::Released | EndReason::Forced | EndReason::Transferred | EndReason::Cancelled => false,
        }
    }

    /// A hold that has ended, or has another token, is not waited for any more to become exclusive. Whether it was: then
    /// another waiter is first, and the lock has to be granted to its waiters.
    pub(super) fn end_upgrade(&mut self, effects: &mut Effects, name: &Name, token: Token) -> bool {
        let upgrade = self.locks.get(name).and_then(|lock| lock.queue().upgrade());
        let place = upgrade.filter(|(_, waiter)| waiter.upgrades == Some(token)).map(|(place, _)| *place);
        if let Some(place) = place {
            self.end_wait(effects, name, place, WaitEnd::HoldEnded).without_waiters();
        }
        place.is_some()
    }
}

impl Effects {
    pub(super) fn ended(&mut self, name: Name, hold: &Hold, why: EndReason) {
        let (token, session, dialect) = (hold.token, hold.owner.session(), hold.dialect);
        let (since, deadline, is_election) = (hold.since.into(), hold.deadline.moment(), hold.value().is_some());
        self.events.push(Event::HoldEnded { name, token, why, session, dialect, since, deadline, is_election });
    }
}
