//! Deliveries: confirmed by the node that answers, or lost with the request, and then kept for a retry.

use super::{CommandResult, Effects, Table, Vacancy};
use crate::domain::command::Proof;
use crate::domain::idempotency::{IdempotencyResult, ORPHAN_MS};
use crate::domain::ids::{HoldKey, Incarnation, Name, Token};
use crate::domain::limits::Feature;
use crate::domain::locks::{DeliveryState, Hold, Orphan, Place, Waiter, WaiterState};
use crate::domain::outcome::{EndReason, Outcome, WaitEnd};
use crate::domain::time::Deadline;

impl Table {
    /// The hold's node has the grant and is about to answer.
    pub(super) fn confirm_delivery(&mut self, name: &Name, key: HoldKey) -> CommandResult {
        let hold = self.find_hold(name, &Proof::Key(key))?;
        let (token, attempt) = (hold.token, hold.tracked().and_then(|tracked| tracked.attempt));
        self.confirm_hold(name, token, attempt);
        Ok(Outcome::Confirmed)
    }

    /// A client knows of the hold, or is about to. An orphaned hold gets its full lease. From here on only this attempt
    /// can be cancelled.
    pub(super) fn confirm_hold(&mut self, name: &Name, token: Token, attempt: Option<HoldKey>) {
        let Some(hold) = self.locks.hold(name, token) else { return };
        let Some(tracked) = hold.tracked() else { return };
        let deadline = match tracked.state {
            DeliveryState::Orphaned => self.lease_end(tracked.lease_ms),
            DeliveryState::Confirmed | DeliveryState::Unconfirmed(_) => hold.deadline,
        };
        self.locks.change_hold(name, token, |hold| {
            hold.deadline = deadline;
            hold.confirm(attempt);
        });
    }

    /// The client has shown its key.
    pub(super) fn client_knows(&mut self, name: &Name, token: Token) {
        if let Some(tracked) = self.locks.hold(name, token).and_then(Hold::tracked) {
            // With an idempotency key several attempts may have been answered, and at least one was.
            let attempt = tracked.attempt.filter(|_| tracked.idempotency_id.is_none());
            self.confirm_hold(name, token, attempt);
        }
    }

    /// The request of a waiter is lost. With an idempotency key its place is kept for a retry.
    pub(super) fn lose_waiter(&mut self, effects: &mut Effects, name: &Name, place: Place, why: WaitEnd) -> Vacancy {
        let until = self.header.now.after_ms(ORPHAN_MS);
        match self.locks.get(name).and_then(|lock| lock.queue().get(&place)) {
            Some(waiter) if waiter.idempotency_id.is_none() => return self.end_wait(effects, name, place, why),
            Some(waiter) if !waiter.is_orphaned() => {
                let vacancy = Vacancy::among(waiter.names());
                effects.wait_ended(waiter, why, None);
                self.locks.orphan_waiter(name, place, until);
                return vacancy;
            }
            _ => {}
        }
        Vacancy::default()
    }

    /// No client will hear of a hold. With an idempotency key it is kept for a retry.
    pub(super) fn lose_hold(&mut self, effects: &mut Effects, name: &Name, token: Token, why: EndReason) -> Vacancy {
        let relied_on_until = self.relied_on_until(name, token);
        let until = Deadline::at(self.header.now.after_ms(ORPHAN_MS)).max(relied_on_until);
        match self.locks.hold(name, token) {
            Some(hold) if hold.idempotency_id().is_none() => return self.end_hold(effects, name, token, why),
            Some(hold) if hold.state() != DeliveryState::Orphaned => {
                self.locks.change_hold(name, token, |hold| hold.orphan(until));
            }
            _ => {}
        }
        Vacancy::default()
    }

    /// The node that was granted a hold died before it confirmed, and other waiters must not wait for its client. The
    /// hold ends; if it has an idempotency key, its retry is first in the queue.
    pub(super) fn requeue_unconfirmed(
        &mut self,
        effects: &mut Effects,
        name: &Name,
        token: Token,
        dead: Incarnation,
    ) -> Vacancy {
        let Some((name, lock)) = self.locks.get_key_value(name) else { return Vacancy::default() };
        let (name, size) = (name.clone(), lock.size());
        let Some(hold) = self.locks.hold(&name, token) else { return Vacancy::default() };
        let Some(id) = hold.idempotency_id().filter(|_| self.locks.waiting(hold.key).is_none()) else {
            return self.end_hold(effects, &name, token, EndReason::Cancelled);
        };
        let Some(hold) = self.locks.remove_hold(&name, token) else { return Vacancy::default() };
        let vacancy = self.hold_removed(effects, &name, &hold, EndReason::Cancelled);
        let lease_ms = hold.tracked().and_then(|tracked| tracked.lease_ms);
        let terms = hold.shared_terms();
        let waiter = Waiter {
            state: WaiterState::Orphaned(Orphan::Unconfirmed(dead)),
            key: hold.key,
            since: hold.since.into(),
            timeout_ms: ORPHAN_MS,
            deadline: self.header.now.after_ms(ORPHAN_MS),
            owner: hold.owner,
            size,
            remembers_size: false,
            lease_ms,
            metadata: hold.metadata,
            dialect: hold.dialect,
            idempotency_id: Some(id),
            caller: hold.caller,
            terms,
            upgrades: None,
        };
        self.keep_result(id, IdempotencyResult::Waiter { name: name.clone(), key: hold.key });
        // An upgrade cannot wait behind it, because it waits for the hold that is upgraded.
        let priority = if self.supports(Feature::Modes) { i32::MAX - 1 } else { i32::MAX };
        let place = self.last_place(priority);
        self.add_waiter(&name, place, waiter);
        vacancy
    }
}
