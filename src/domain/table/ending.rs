//! What happens when a hold ends: by a release, by expiry, or because no client will hear of it.

use super::{Effects, Table, Vacancy};
use crate::domain::ids::{Name, Token};
use crate::domain::locks::Hold;
use crate::domain::outcome::{EndReason, Event};

impl Table {
    pub(super) fn end_hold(&mut self, effects: &mut Effects, name: &Name, token: Token, why: EndReason) -> Vacancy {
        if let Some(hold) = self.locks.remove_hold(name, token) {
            self.hold_ended(effects, name, &hold, why);
        }
        Vacancy
    }

    /// After a hold was removed from its lock.
    pub(super) fn hold_ended(&mut self, effects: &mut Effects, name: &Name, hold: &Hold, why: EndReason) {
        if let Some(id) = hold.idempotency_id() {
            self.idempotency_keys.end(id, &mut self.usages);
        }
        self.hold_removed(effects, name, hold, why);
    }

    /// As [`Table::hold_ended`], but the idempotency record stays.
    pub(super) fn hold_removed(&mut self, effects: &mut Effects, name: &Name, hold: &Hold, why: EndReason) {
        effects.budget = effects.budget.saturating_sub(1);
        self.usages.remove(hold.caller, hold.usage(name));
        if let Some(session) = hold.owner.session() {
            self.sessions.remove_hold(session);
        }
        let (token, session, dialect) = (hold.token, hold.owner.session(), hold.dialect);
        let (since, deadline) = (hold.since.into(), hold.deadline.moment());
        effects.events.push(Event::HoldEnded { name: name.clone(), token, why, session, dialect, since, deadline });
    }
}
