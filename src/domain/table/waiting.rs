//! The queue: how a wait begins, and how it ends without a grant.

use super::{Effects, Table, Vacancy};
use crate::domain::command::{Acquire, Wait};
use crate::domain::idempotency::RequestResult;
use crate::domain::ids::{CommandId, HoldKey, Name, WaiterId};
use crate::domain::locks::{Place, Waiter, WaiterState};
use crate::domain::outcome::{Event, Outcome, WaitEnd};
use crate::domain::refusal::Refusal;
use std::cmp::Reverse;

impl Table {
    pub(super) fn wait(&mut self, id: CommandId, acquire: &Acquire) -> Outcome {
        let place = self.last_place(acquire.priority);
        let waiter = self.waiter(id, acquire);
        self.enqueue(acquire, place, waiter)
    }

    /// The place behind all others of this priority.
    pub(super) fn last_place(&mut self, priority: i32) -> Place {
        let place = (Reverse(priority), WaiterId(self.header.next_waiter));
        self.header.next_waiter += 1;
        place
    }

    pub(super) fn waiter(&self, command: CommandId, acquire: &Acquire) -> Waiter {
        let (state, timeout_ms) = match acquire.wait {
            Some(Wait::Attached { timeout_ms }) => (WaiterState::Attached(command), timeout_ms),
            Some(Wait::Detached { timeout_ms }) => (WaiterState::Detached(command), timeout_ms),
            None => (WaiterState::Detached(command), 1),
        };
        Waiter {
            state,
            key: acquire.key,
            since: self.header.now,
            timeout_ms,
            deadline: self.header.now.after_ms(timeout_ms),
            owner: acquire.owner(),
            size: acquire.size,
            remembers_size: acquire.remembers_size,
            lease_ms: acquire.lease_ms,
            metadata: acquire.metadata.clone(),
            dialect: acquire.dialect,
            request: acquire.idempotency_key.map(|key| key.id),
            caller: acquire.caller,
        }
    }

    pub(super) fn enqueue(&mut self, acquire: &Acquire, place: Place, waiter: Waiter) -> Outcome {
        let Some((name, _)) = self.locks.get_key_value(&acquire.name) else {
            return Outcome::Refused(Refusal::Broken("a waiter for a free lock"));
        };
        let name = name.clone();
        let is_attached = waiter.answered_by().is_some();
        self.add_waiter(&name, place, waiter);
        let position = self.locks.get(&name).map_or(0, |lock| lock.queue().ahead(&place)) as u32;
        if let Some(key) = acquire.idempotency_key {
            self.record_request(key, acquire.caller, RequestResult::Waiter { name, key: acquire.key });
        }
        if is_attached { Outcome::Waiting { position } } else { Outcome::Enqueued { position } }
    }

    pub(super) fn add_waiter(&mut self, name: &Name, place: Place, waiter: Waiter) {
        let (caller, usage, session) = (waiter.caller, waiter.usage(name), waiter.owner.session());
        if self.locks.add_waiter(name, place, waiter) {
            self.usages.add(caller, usage);
            session.into_iter().for_each(|session| self.sessions.add_waiter(session));
        }
    }

    /// Removes a waiter from everything except its idempotency key.
    pub(super) fn remove_waiter(&mut self, name: &Name, place: Place) -> Option<Waiter> {
        let waiter = self.locks.remove_waiter(name, place)?;
        self.usages.remove(waiter.caller, waiter.usage(name));
        if let Some(session) = waiter.owner.session() {
            self.sessions.remove_waiter(session, self.header.now);
        }
        Some(waiter)
    }

    pub(super) fn end_wait(&mut self, effects: &mut Effects, name: &Name, place: Place, why: WaitEnd) -> Vacancy {
        if let Some(waiter) = self.remove_waiter(name, place) {
            effects.budget = effects.budget.saturating_sub(1);
            self.report_wait_end(effects, &waiter, why);
        }
        Vacancy
    }

    /// A wait without a grant is reported, and its idempotency key forgotten: the request may be made again.
    pub(super) fn report_wait_end(&mut self, effects: &mut Effects, waiter: &Waiter, why: WaitEnd) {
        if let Some(request) = waiter.request {
            self.idempotency_keys.remove(request, &mut self.usages);
        }
        effects.wait_ended(waiter, why);
    }

    pub(super) fn cancel_wait(&mut self, effects: &mut Effects, name: &Name, label: &str) -> Outcome {
        let Some(place) = self.place_of_label(name, label) else {
            return Outcome::Refused(Refusal::NotWaiting);
        };
        let vacancy = self.end_wait(effects, name, place, WaitEnd::Cancelled);
        self.grant_waiters(effects, name, vacancy);
        Outcome::Cancelled
    }

    pub(super) fn place_of_label(&self, name: &Name, label: &str) -> Option<Place> {
        let mut queue = self.locks.get(name)?.queue().iter();
        queue.find(|(_, waiter)| waiter.owner.has_label(label)).map(|(place, _)| *place)
    }

    pub(super) fn place_of_key(&self, name: &Name, key: HoldKey) -> Option<Place> {
        self.locks.waiting(key).filter(|(at, _)| at == name).map(|(_, place)| *place)
    }
}

impl Effects {
    pub(super) fn wait_ended(&mut self, waiter: &Waiter, why: WaitEnd) {
        if let Some(command) = waiter.answered_by() {
            self.events.push(Event::WaiterEnded { command, why });
        }
    }
}
