//! Reentry: an owner label that has the lock or waits for it asks again.

use super::{Effects, Table, Vacancy};
use crate::domain::command::Acquire;
use crate::domain::idempotency::RequestResult;
use crate::domain::ids::{CommandId, Token};
use crate::domain::level;
use crate::domain::locks::{Delivery, DeliveryState, Owner, Place, Tracked, Waiter};
use crate::domain::outcome::{Outcome, WaitEnd};
use crate::domain::refusal::Refusal;
use std::cmp::Reverse;

impl Table {
    /// A hold of the label stays, is never shortened and gets a new token. A waiter keeps its place in order of arrival,
    /// with the new timeout and priority.
    pub(super) fn reenter(&mut self, effects: &mut Effects, id: CommandId, acquire: &Acquire) -> Option<Outcome> {
        if !acquire.reentrant {
            return None;
        }
        let owner = Some(acquire.owner()).filter(|owner| matches!(owner, Owner::Label(_)))?;
        let lock = self.locks.get(&acquire.name)?;
        if let Some(hold) = lock.holds().iter().find(|hold| hold.owner == owner) {
            return Some(self.extend_hold(effects, acquire, hold.token));
        }
        let (place, _) = lock.queue().iter().find(|(_, waiter)| waiter.owner == owner)?;
        let place = *place;
        acquire.wait?;
        Some(self.replace_waiter(effects, id, acquire, place, (Reverse(acquire.priority), place.1)))
    }

    /// The new request waits instead of the one before.
    pub(super) fn replace_waiter(
        &mut self,
        effects: &mut Effects,
        id: CommandId,
        acquire: &Acquire,
        place: Place,
        new_place: Place,
    ) -> Outcome {
        let checked = self.check_waiting_key(acquire, Some(place));
        if let Err(refusal) = checked.and_then(|()| self.check_waiter_growth(acquire, place)) {
            return Outcome::Refused(refusal);
        }
        let Some(waiter) = self.remove_waiter(&acquire.name, place) else {
            return Outcome::Refused(Refusal::Broken("a waiter vanished while it asked again"));
        };
        self.report_wait_end(effects, &waiter, WaitEnd::Cancelled);
        let replacement = Waiter { since: waiter.since, caller: waiter.caller, ..self.waiter(id, acquire) };
        let outcome = self.enqueue(acquire, new_place, replacement);
        // Another waiter may be first now, and fit.
        self.grant_waiters(effects, &acquire.name, Vacancy);
        outcome
    }

    fn extend_hold(&mut self, effects: &mut Effects, acquire: &Acquire, token: Token) -> Outcome {
        if let Err(refusal) = self.check_hold_growth(acquire, token) {
            return Outcome::Refused(refusal);
        }
        let vanished = || Outcome::Refused(Refusal::Broken("a hold vanished while it was re-entered"));
        let Some(before) = self.locks.hold(&acquire.name, token) else { return vanished() };
        let (caller, usage, request) = (before.caller, before.usage(&acquire.name), before.request());
        let deadline = before.deadline.max(self.lease_end(acquire.lease_ms));
        let delivery = self.delivery_after_reentry(acquire);
        let new_token = self.issue_token();
        let changed = self.locks.change_hold(&acquire.name, token, |hold| {
            (hold.token, hold.deadline, hold.delivery) = (new_token, deadline, delivery);
            if !acquire.metadata.is_empty() {
                hold.metadata = acquire.metadata.clone();
            }
        });
        let Some(hold) = changed else { return vanished() };
        let grant = hold.to_grant();
        effects.granted(acquire.name.clone(), hold, Some(token));
        self.usages.remove(caller, usage);
        self.usages.add(caller, hold.usage(&acquire.name));
        request.into_iter().for_each(|request| self.idempotency_keys.end(request, &mut self.usages));
        if let Some(key) = acquire.idempotency_key {
            let result = RequestResult::Hold { name: acquire.name.clone(), token: new_token };
            self.record_request(key, acquire.caller, result);
        }
        Outcome::Acquired(grant)
    }

    /// An earlier answer may have named the hold, so no lost attempt ends it.
    fn delivery_after_reentry(&self, acquire: &Acquire) -> Delivery {
        if !self.supports(level::CLUSTERS) {
            return Delivery::Answered;
        }
        let (request, lease_ms) = (acquire.idempotency_key.map(|key| key.id), acquire.lease_ms);
        Delivery::Tracked(Box::new(Tracked { state: DeliveryState::Confirmed, request, attempt: None, lease_ms }))
    }
}
