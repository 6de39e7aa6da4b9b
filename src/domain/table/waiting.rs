//! The queue: how a wait begins, and how it ends, with a grant or without; and how holds enter the table.

use super::{CommandResult, Effects, Table, Vacancy};
use crate::domain::command::{Acquire, Wait};
use crate::domain::freezes::FrozenBy;
use crate::domain::idempotency::IdempotencyResult;
use crate::domain::ids::{CommandId, HoldKey, Name, Token, WaiterId};
use crate::domain::locks::{Delivery, DeliveryState, Hold, Lock, Place, Tracked, Waiter, WaiterState};
use crate::domain::outcome::{Event, Outcome, Undone, WaitEnd, WaitNote, WaitStep};
use crate::domain::refusal::Refusal;
use crate::domain::terms::Terms;
use crate::mutants::planted;
use std::cmp::Reverse;

/// Waits.
impl Table {
    pub(super) fn wait(&mut self, effects: &mut Effects, id: CommandId, acquire: &Acquire) -> CommandResult {
        let place = self.last_place(acquire.priority);
        let waiter = self.waiter(id, acquire);
        effects.note_wait(&acquire.name, &waiter, WaitStep::Begun);
        self.enqueue(acquire, place, waiter)
    }

    /// The place behind all others of this priority.
    pub(super) fn next_place(&self, priority: i32) -> Place {
        (Reverse(priority), WaiterId(self.header.next_waiter))
    }

    /// The same, taken.
    pub(super) fn last_place(&mut self, priority: i32) -> Place {
        let place = self.next_place(priority);
        self.header.next_waiter += 1;
        place
    }

    pub(super) fn waiter(&self, command: CommandId, acquire: &Acquire) -> Waiter {
        let (state, timeout_ms) = match acquire.wait {
            Some(Wait::Attached { timeout_ms } | Wait::Guarded { timeout_ms }) => {
                (WaiterState::Attached(command), timeout_ms)
            }
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
            idempotency_id: acquire.idempotency_key.map(|key| key.id),
            caller: acquire.caller,
            terms: acquire.terms.clone(),
            upgrades: None,
        }
    }

    pub(super) fn enqueue(&mut self, acquire: &Acquire, place: Place, waiter: Waiter) -> CommandResult {
        let known = self.locks.get_key_value(&acquire.name);
        let name = known.map_or_else(|| acquire.name.clone(), |(known, _)| known.clone());
        let is_attached = waiter.answered_by().is_some();
        self.add_waiter(&name, place, waiter);
        let ahead = |(name, _)| self.locks.get(name).map_or(0, |lock| lock.queue().ahead(&place));
        let position = acquire.places().map(ahead).max().unwrap_or(0) as u32;
        if let Some(key) = acquire.idempotency_key {
            self.record_result(key, acquire.caller, IdempotencyResult::Waiter { name, key: acquire.key });
        }
        Ok(if is_attached { Outcome::Waiting { position } } else { Outcome::Enqueued { position } })
    }

    pub(super) fn add_waiter(&mut self, name: &Name, place: Place, waiter: Waiter) {
        for (name, _) in waiter.places(name) {
            self.usages.add_of(name, waiter.caller, waiter.usage(name));
            waiter.owner.session().into_iter().for_each(|session| self.sessions.add_waiter(session));
        }
        self.locks.add_waiter(name, place, waiter);
    }

    /// Removes a waiter from everything except its idempotency key.
    pub(super) fn remove_waiter(&mut self, name: &Name, place: Place) -> Option<Waiter> {
        let waiter = self.locks.remove_waiter(name, place)?;
        for (name, _) in waiter.places(name) {
            self.usages.remove_of(name, waiter.caller, waiter.usage(name));
            if let Some(session) = waiter.owner.session() {
                self.sessions.remove_waiter(session, self.header.now);
            }
        }
        Some(waiter)
    }

    pub(super) fn end_wait(&mut self, effects: &mut Effects, name: &Name, place: Place, why: WaitEnd) -> Vacancy {
        let Some(waiter) = self.remove_waiter(name, place) else { return Vacancy::default() };
        effects.budget = effects.budget.saturating_sub(1);
        effects.note_wait(name, &waiter, WaitStep::Ended(if waiter.is_orphaned() { WaitEnd::Cancelled } else { why }));
        let names = waiter.places(name).map(|(name, _)| name);
        let frozen = if why == WaitEnd::TimedOut { self.frozen_by(names, self.header.now) } else { None };
        let frozen = frozen.map(|by| Box::new(FrozenBy { waited: true, ..*by }));
        self.report_wait_end(effects, &waiter, why, frozen);
        Vacancy::among(waiter.names())
    }

    /// A wait without a grant is reported, and its idempotency key forgotten: the request may be made again.
    pub(super) fn report_wait_end(
        &mut self,
        effects: &mut Effects,
        waiter: &Waiter,
        why: WaitEnd,
        frozen: Option<Box<FrozenBy>>,
    ) {
        if let Some(id) = waiter.idempotency_id {
            self.idempotency_keys.remove(id, &mut self.usages);
        }
        effects.wait_ended(waiter, why, frozen);
    }

    pub(super) fn cancel_wait(&mut self, effects: &mut Effects, name: &Name, label: &str) -> CommandResult {
        let place = self.place_of_label(name, label).ok_or(Refusal::NotWaiting)?;
        let vacancy = self.end_wait(effects, name, place, WaitEnd::Cancelled);
        self.grant_waiters(effects, name, vacancy);
        Ok(Outcome::Cancelled(Undone::Wait))
    }

    pub(super) fn place_of_label(&self, name: &Name, label: &str) -> Option<Place> {
        let mut queue = self.locks.get(name)?.queue().iter();
        queue.find(|(_, waiter)| waiter.owner.has_label(label)).map(|(place, _)| *place)
    }

    pub(super) fn place_of_key(&self, name: &Name, key: HoldKey) -> Option<Place> {
        self.locks.waiting(key).filter(|(at, _)| at == name).map(|(_, place)| *place)
    }
}

/// Grants.
impl Table {
    /// Grants the lock to its next waiters while there is room, and forgets a lock that is unused. Whether there was a
    /// grant. A waiter whose own timeout ends in the same entry still gets its turn: the room was free before.
    pub(super) fn grant_waiters(&mut self, effects: &mut Effects, name: &Name, vacancy: Vacancy) -> bool {
        let mut others = vacancy.others;
        let mut granted = self.grant_queue(effects, name, &mut others);
        while let Some(other) = others.pop() {
            granted |= self.grant_queue(effects, &other, &mut others);
        }
        granted
    }

    /// The same for one lock. Adds the locks in whose queues another waiter is first now.
    fn grant_queue(&mut self, effects: &mut Effects, name: &Name, others: &mut Vec<Name>) -> bool {
        let mut granted = false;
        while let Some((place, is_gone)) = self.next_in_queue(name) {
            let Some(waiter) = self.remove_waiter(name, place) else { break };
            others.extend(waiter.names().iter().filter(|(other, _)| other != name).map(|(other, _)| other.clone()));
            if is_gone {
                effects.note_wait(name, &waiter, WaitStep::Ended(WaitEnd::SessionEnded));
                self.report_wait_end(effects, &waiter, WaitEnd::SessionEnded, None);
            } else {
                self.grant(effects, name, waiter);
                granted = true;
            }
        }
        self.forget_unused(name);
        granted
    }

    /// The first waiter, if its session is gone (`true`) or it gets the lock.
    pub(super) fn next_in_queue(&self, name: &Name) -> Option<(Place, bool)> {
        let lock = self.locks.get(name)?;
        let (place, waiter) = lock.queue().first()?;
        let is_gone = waiter.owner.session().is_some_and(|session| !self.sessions.is_live(session));
        let fits = || self.header.next_token < Token::END && self.fits(name, lock, place, waiter);
        (is_gone || fits()).then_some((*place, is_gone))
    }

    /// Whether the first waiter of this lock gets what it waits for: the lock, or all its locks, or to be the only holder.
    fn fits(&self, name: &Name, lock: &Lock, place: &Place, waiter: &Waiter) -> bool {
        if self.keeps_waiting(name, waiter) {
            return false;
        }
        if let Some(token) = waiter.upgrades {
            return lock.may_upgrade(token);
        }
        if waiter.names().is_empty() || planted!("set-granted-in-parts") {
            return lock.has_room(waiter.size, waiter.weight());
        }
        waiter.places(name).all(|(name, size)| {
            self.locks.get(name).is_some_and(|lock| {
                lock.has_room(size, waiter.weight()) && lock.queue().first().is_some_and(|(first, _)| first == place)
            })
        })
    }

    /// Whether any of its names is frozen.
    fn keeps_waiting(&self, name: &Name, waiter: &Waiter) -> bool {
        if self.freezes.len() == 0 || planted!("frozen-waiter-granted") {
            return false;
        }
        waiter.places(name).any(|(name, _)| self.freezes.is_frozen(name, self.header.now))
    }

    fn grant(&mut self, effects: &mut Effects, name: &Name, waiter: Waiter) {
        if let Some(token) = waiter.upgrades {
            return self.grant_upgrade(effects, name, &waiter, token);
        }
        let (answered_by, idempotency_id) = (waiter.answered_by(), waiter.idempotency_id);
        let (size, remembers_size) = (waiter.size, waiter.remembers_size);
        effects.note_wait(name, &waiter, WaitStep::Granted(Token(self.header.next_token)));
        let hold = self.hold_of(waiter);
        let name = hold.names().first().map_or_else(|| name.clone(), |(first, _)| first.clone());
        let (grant, unconfirmed) = (hold.to_grant(), hold.unconfirmed().is_some());
        if let Some(id) = idempotency_id {
            self.keep_result(id, IdempotencyResult::Hold { name: name.clone(), token: grant.token });
        }
        if let Some(command) = answered_by {
            effects.events.push(Event::WaiterGranted { command, name: name.clone(), grant, unconfirmed });
        }
        self.add_hold(effects, name, size, remembers_size, hold);
    }

    /// The hold that this waiter is granted now.
    pub(super) fn hold_of(&mut self, waiter: Waiter) -> Hold {
        Hold {
            key: waiter.key,
            token: self.issue_token(),
            since: self.header.now.into(),
            deadline: self.lease_end(waiter.lease_ms),
            delivery: self.delivery_to(&waiter),
            owner: waiter.owner,
            metadata: waiter.metadata,
            dialect: waiter.dialect,
            caller: waiter.caller,
        }
    }

    fn delivery_to(&self, waiter: &Waiter) -> Delivery {
        let state = match waiter.answered_by() {
            Some(command) if self.confirms_deliveries() => DeliveryState::Unconfirmed(command.incarnation),
            _ => DeliveryState::Confirmed,
        };
        if state == DeliveryState::Confirmed && waiter.idempotency_id.is_none() && waiter.terms.is_none() {
            return Delivery::Answered;
        }
        let (idempotency_id, attempt, lease_ms) = (waiter.idempotency_id, Some(waiter.key), waiter.lease_ms);
        Delivery::Tracked(Box::new(Tracked { state, idempotency_id, attempt, lease_ms, terms: waiter.terms.clone() }))
    }

    pub(super) fn add_hold(&mut self, effects: &mut Effects, name: Name, size: u32, remembers_size: bool, hold: Hold) {
        for (name, size) in Terms::places(hold.terms(), &name, size) {
            effects.granted(name.clone(), &hold, size, None);
            if remembers_size {
                self.remembered_sizes.forget(name);
            }
            self.usages.add_of(name, hold.caller, hold.usage(name));
            hold.owner.session().into_iter().for_each(|session| self.sessions.add_hold(session));
        }
        self.locks.add_hold(name, size, remembers_size, hold);
    }

    /// Drops a lock without holds and waiters, and remembers its size if a client wants that. Whether it was unused.
    pub(super) fn forget_unused(&mut self, name: &Name) -> bool {
        let Some(lock) = self.locks.remove_unused(name) else { return false };
        if lock.size_to_remember() > 0 {
            self.remember_size(name, lock.size_to_remember());
        }
        true
    }

    pub(super) fn remember_size(&mut self, name: &Name, size: u32) {
        let limits = &self.header.limits;
        let until = self.header.now.after_ms(limits.remembered_size_idle_ms);
        self.remembered_sizes.remember(name, size, until, limits.remembered_sizes_max);
    }
}

impl Effects {
    /// Under each of its names.
    pub(super) fn note_wait(&mut self, name: &Name, waiter: &Waiter, step: WaitStep) {
        let (since, dialect, caller) = (waiter.since, waiter.dialect, waiter.caller);
        let note = |(name, _): (&Name, u32)| {
            let (name, session) = (name.clone(), waiter.owner.session());
            WaitNote { name, since, session, dialect, caller, step }
        };
        self.waits.extend(waiter.places(name).map(note));
    }

    pub(super) fn wait_ended(&mut self, waiter: &Waiter, why: WaitEnd, frozen: Option<Box<FrozenBy>>) {
        if let Some(command) = waiter.answered_by() {
            self.events.push(Event::WaiterEnded { command, why, frozen });
        }
    }

    /// Under one of its names, and the size of that lock.
    pub(super) fn granted(&mut self, name: Name, hold: &Hold, size: u32, replaces: Option<Token>) {
        let (token, session, dialect) = (hold.token, hold.owner.session(), hold.dialect);
        let (weight, value) = (hold.weight(), hold.value().cloned());
        self.events.push(Event::Granted { name, token, replaces, session, dialect, size, weight, value });
    }
}
