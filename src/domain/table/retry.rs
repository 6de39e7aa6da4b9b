//! Retries by idempotency key, and reentry by owner label.

use super::{CommandResult, Effects, Table, Vacancy};
use crate::domain::command::Acquire;
use crate::domain::idempotency::{IDEMPOTENCY_KEY_KEPT_MS, IdempotencyRecord, IdempotencyResult};
use crate::domain::ids::{Caller, CommandId, HoldKey, IdempotencyId, IdempotencyKey, Name, Token};
use crate::domain::limits::Feature;
use crate::domain::locks::{Delivery, DeliveryState, Hold, Owner, Place, Tracked, Waiter};
use crate::domain::outcome::{Outcome, WaitEnd};
use crate::domain::refusal::Refusal;
use crate::domain::terms::{SHARED, Terms};
use crate::mutants::planted;
use std::cmp::Reverse;
use std::sync::Arc;

/// Retries, by idempotency key.
impl Table {
    /// The answer to an acquire that was made before; `None` if it is new.
    pub(super) fn retry_acquire(
        &mut self,
        effects: &mut Effects,
        id: CommandId,
        acquire: &Acquire,
    ) -> Result<Option<Outcome>, Refusal> {
        let Some(key) = acquire.idempotency_key else { return Ok(None) };
        let outcome = match self.recall(key)? {
            None => return Ok(None),
            Some(IdempotencyResult::Hold { name, token }) if name == acquire.name => {
                self.return_hold(&name, token, acquire.key)
            }
            Some(IdempotencyResult::Waiter { name, key }) if name == acquire.name => {
                self.resume_wait(effects, id, acquire, key)
            }
            Some(_) => Err(Refusal::RequestReused),
        };
        outcome.map(Some)
    }

    /// The earlier result of this request; `None` if it is new.
    pub(super) fn recall(&mut self, key: IdempotencyKey) -> Result<Option<IdempotencyResult>, Refusal> {
        let known = self.idempotency_keys.get(key.id).filter(|_| !planted!("retries-are-new"));
        let Some(record) = known else { return Ok(None) };
        if record.has_expired(self.header.now) {
            self.idempotency_keys.remove(key.id, &mut self.usages);
            return Ok(None);
        }
        if record.body != key.body {
            return Err(Refusal::RequestReused);
        }
        let result = record.result.clone();
        self.keep_result(key.id, result.clone());
        if result == IdempotencyResult::Ended { Err(Refusal::RequestEnded) } else { Ok(Some(result)) }
    }

    /// An orphaned hold gets its full lease from now. Any other keeps its deadline; as its first attempt may have been
    /// answered, no attempt can be cancelled any more.
    fn return_hold(&mut self, name: &Name, token: Token, attempt: HoldKey) -> CommandResult {
        let is_orphaned = self.locks.hold(name, token).is_some_and(|hold| hold.state() == DeliveryState::Orphaned);
        self.confirm_hold(name, token, is_orphaned.then_some(attempt));
        let hold = self.locks.hold(name, token).ok_or(Refusal::Broken("an idempotency key without its hold"))?;
        Ok(Outcome::Acquired(hold.to_grant()))
    }

    fn resume_wait(&mut self, effects: &mut Effects, id: CommandId, acquire: &Acquire, key: HoldKey) -> CommandResult {
        self.header.limits.check_acquire_with(acquire, acquire.terms.as_deref())?;
        if acquire.wait.is_none() {
            return Err(Refusal::RequestReused);
        }
        let place = self.place_of_key(&acquire.name, key);
        let place = place.ok_or(Refusal::Broken("an idempotency key without its waiter"))?;
        let waiter = self.locks.get(&acquire.name).and_then(|lock| lock.queue().get(&place));
        let waiter = waiter.ok_or(Refusal::Broken("a waiter whose lock does not have it"))?;
        // Its locks may have other sizes since.
        let (size, terms, is_orphaned) = (waiter.size, waiter.terms.clone(), waiter.is_orphaned());
        let acquire = Acquire { size, terms, ..acquire.clone() };
        if is_orphaned {
            // Others passed it over, and may wait for its owner since.
            self.check_deadlock(effects, &acquire, place)?;
        }
        self.replace_waiter(effects, id, &acquire, place, place)
    }

    /// Whether one more key can be remembered.
    pub(super) fn check_idempotency_keys(&self, key: Option<IdempotencyKey>) -> Result<(), Refusal> {
        let limit = self.header.limits.requests_max;
        let is_full = key.is_some() && self.idempotency_keys.len() as u64 >= limit;
        if is_full { Err(Refusal::IdempotencyKeysFull { limit }) } else { Ok(()) }
    }

    /// Records the result of a new request.
    pub(super) fn record_result(&mut self, key: IdempotencyKey, caller: Caller, result: IdempotencyResult) {
        let until = self.header.now.after_ms(IDEMPOTENCY_KEY_KEPT_MS);
        self.idempotency_keys.remove(key.id, &mut self.usages);
        let record = IdempotencyRecord { body: key.body, caller, result, until };
        self.idempotency_keys.insert(key.id, record, &mut self.usages);
    }

    /// Records the result of a known request, and keeps its key from now on.
    pub(super) fn keep_result(&mut self, id: IdempotencyId, result: IdempotencyResult) {
        let until = self.header.now.after_ms(IDEMPOTENCY_KEY_KEPT_MS);
        self.idempotency_keys.keep(id, result, until, &mut self.usages);
    }
}

pub(super) enum Reentered {
    Hold(Token),
    Waiter(Place),
}

/// Reentry, by owner label.
impl Table {
    /// A hold of the label stays, is never shortened and gets a new token. A waiter keeps its place in order of arrival,
    /// with the new timeout and priority.
    pub(super) fn reenter(
        &mut self,
        effects: &mut Effects,
        id: CommandId,
        acquire: &Acquire,
        reentered: Reentered,
    ) -> CommandResult {
        match reentered {
            Reentered::Hold(token) => {
                self.check_reentry(acquire, token)?;
                self.extend_hold(effects, acquire, token)
            }
            Reentered::Waiter(place) => {
                let new_place = (Reverse(acquire.priority), place.1);
                self.check_deadlock(effects, acquire, new_place)?;
                self.replace_waiter(effects, id, acquire, place, new_place)
            }
        }
    }

    /// The hold or the place of the same owner label that this acquire goes on with. Neither has several names.
    pub(super) fn reentered(&self, acquire: &Acquire) -> Option<Reentered> {
        let is_reentrant = acquire.reentrant && acquire.terms.as_ref().is_none_or(|terms| terms.names.is_empty());
        let owner = Some(acquire.owner()).filter(|owner| is_reentrant && matches!(owner, Owner::Label(_)))?;
        let lock = self.locks.get(&acquire.name)?;
        if let Some(hold) = lock.holds().iter().find(|hold| hold.owner == owner && hold.names().is_empty()) {
            return Some(Reentered::Hold(hold.token));
        }
        let is_own = |waiter: &Waiter| waiter.owner == owner && waiter.names().is_empty() && waiter.upgrades.is_none();
        let (place, _) = lock.queue().iter().find(|(_, waiter)| acquire.wait.is_some() && is_own(waiter))?;
        Some(Reentered::Waiter(*place))
    }

    /// Whether the hold that is reentered is what the acquire asks for, or more.
    fn check_reentry(&self, acquire: &Acquire, token: Token) -> Result<(), Refusal> {
        let size = self.locks.get(&acquire.name).map_or(acquire.size, |lock| lock.size());
        if size == SHARED && acquire.size != SHARED {
            return Err(Refusal::SizeMismatch { size });
        }
        let elects = acquire.terms.as_ref().is_some_and(|terms| terms.value.is_some());
        let hold = self.locks.hold(&acquire.name, token);
        let is_enough = |hold: &Hold| hold.weight() >= acquire.weight() && hold.value().is_some() == elects;
        if hold.is_none_or(is_enough) { Ok(()) } else { Err(Refusal::NotConvertible) }
    }

    /// The new request waits instead of the one before.
    pub(super) fn replace_waiter(
        &mut self,
        effects: &mut Effects,
        id: CommandId,
        acquire: &Acquire,
        place: Place,
        new_place: Place,
    ) -> CommandResult {
        self.check_waiting_key(acquire, Some(place))?;
        self.check_waiter_growth(acquire, place)?;
        let waiter = self.remove_waiter(&acquire.name, place);
        let waiter = waiter.ok_or(Refusal::Broken("a waiter vanished while it asked again"))?;
        let vacancy = Vacancy::among(waiter.names());
        self.report_wait_end(effects, &waiter, WaitEnd::Cancelled, None);
        let replacement = Waiter { since: waiter.since, caller: waiter.caller, ..self.waiter(id, acquire) };
        let outcome = self.enqueue(acquire, new_place, replacement);
        // Another waiter may be first now, and fit.
        self.grant_waiters(effects, &acquire.name, vacancy);
        outcome
    }

    fn extend_hold(&mut self, effects: &mut Effects, acquire: &Acquire, token: Token) -> CommandResult {
        const VANISHED: Refusal = Refusal::Broken("a hold vanished while it was re-entered");
        self.check_hold_growth(acquire, token)?;
        let before = self.locks.hold(&acquire.name, token).ok_or(VANISHED)?;
        let (caller, usage, idempotency_id) = (before.caller, before.usage(&acquire.name), before.idempotency_id());
        let deadline = before.deadline.max(self.lease_end(acquire.lease_ms));
        let delivery = self.delivery_after_reentry(acquire, before.shared_terms());
        let is_next_first = self.end_upgrade(effects, &acquire.name, token);
        let new_token = self.issue_token();
        let size = self.locks.get(&acquire.name).map_or(acquire.size, |lock| lock.size());
        let changed = self.locks.change_hold(&acquire.name, token, |hold| {
            (hold.token, hold.deadline, hold.delivery) = (new_token, deadline, delivery.clone());
            if !acquire.metadata.is_empty() {
                hold.metadata = acquire.metadata.clone();
            }
        });
        let hold = changed.ok_or(VANISHED)?;
        let grant = hold.to_grant();
        effects.granted(acquire.name.clone(), hold, size, Some(token));
        self.usages.remove(caller, usage);
        self.usages.add(caller, hold.usage(&acquire.name));
        idempotency_id.into_iter().for_each(|id| self.idempotency_keys.end(id, &mut self.usages));
        if let Some(key) = acquire.idempotency_key {
            let result = IdempotencyResult::Hold { name: acquire.name.clone(), token: new_token };
            self.record_result(key, acquire.caller, result);
        }
        if is_next_first {
            self.grant_waiters(effects, &acquire.name, Vacancy::default());
        }
        Ok(Outcome::Acquired(grant))
    }

    /// An earlier answer may have named the hold, so no lost attempt ends it.
    fn delivery_after_reentry(&self, acquire: &Acquire, terms: Option<Arc<Terms>>) -> Delivery {
        if !self.supports(Feature::Clusters) {
            return Delivery::Answered;
        }
        let (state, idempotency_id) = (DeliveryState::Confirmed, acquire.idempotency_key.map(|key| key.id));
        Delivery::Tracked(Box::new(Tracked { state, idempotency_id, attempt: None, lease_ms: acquire.lease_ms, terms }))
    }
}
