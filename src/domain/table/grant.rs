//! Grants: the lock goes to the waiters that are next, and holds enter the table.

use super::{Effects, Table, Vacancy};
use crate::domain::idempotency::RequestResult;
use crate::domain::ids::{Name, Token};
use crate::domain::locks::{Delivery, DeliveryState, Hold, Place, Tracked, Waiter};
use crate::domain::outcome::{Event, WaitEnd};

impl Table {
    /// Grants the lock to its next waiters while there is room, and forgets a lock that is unused. Whether there was a
    /// grant. A waiter whose own timeout ends in the same entry still gets its turn: the room was free before.
    pub(super) fn grant_waiters(&mut self, effects: &mut Effects, name: &Name, _: Vacancy) -> bool {
        let mut granted = false;
        while let Some((place, is_gone)) = self.next_in_queue(name) {
            let Some(waiter) = self.remove_waiter(name, place) else { break };
            if is_gone {
                self.report_wait_end(effects, &waiter, WaitEnd::SessionEnded);
            } else {
                self.grant(effects, name, waiter);
                granted = true;
            }
        }
        self.forget_unused(name);
        granted
    }

    /// The first waiter, if its session is gone (`true`) or it gets the lock.
    fn next_in_queue(&self, name: &Name) -> Option<(Place, bool)> {
        let lock = self.locks.get(name)?;
        let (place, waiter) = lock.queue().first()?;
        let is_gone = waiter.owner.session().is_some_and(|session| !self.sessions.is_live(session));
        let fits = lock.has_room(waiter.size) && self.header.next_token < Token::END;
        (is_gone || fits).then_some((*place, is_gone))
    }

    fn grant(&mut self, effects: &mut Effects, name: &Name, waiter: Waiter) {
        let answered_by = waiter.answered_by();
        let hold = Hold {
            key: waiter.key,
            token: self.issue_token(),
            since: self.header.now,
            deadline: self.lease_end(waiter.lease_ms),
            delivery: self.delivery_to(&waiter),
            owner: waiter.owner,
            metadata: waiter.metadata,
            dialect: waiter.dialect,
            caller: waiter.caller,
        };
        let (grant, unconfirmed) = (hold.to_grant(), hold.unconfirmed().is_some());
        if let Some(request) = waiter.request {
            self.keep_request(request, RequestResult::Hold { name: name.clone(), token: grant.token });
        }
        if let Some(command) = answered_by {
            effects.events.push(Event::WaiterGranted { command, name: name.clone(), grant, unconfirmed });
        }
        self.add_hold(effects, name.clone(), waiter.size, waiter.remembers_size, hold);
    }

    fn delivery_to(&self, waiter: &Waiter) -> Delivery {
        let state = match waiter.answered_by() {
            Some(command) if self.confirms_deliveries() => DeliveryState::Unconfirmed(command.incarnation),
            _ => DeliveryState::Confirmed,
        };
        if state == DeliveryState::Confirmed && waiter.request.is_none() {
            return Delivery::Answered;
        }
        let (request, attempt, lease_ms) = (waiter.request, Some(waiter.key), waiter.lease_ms);
        Delivery::Tracked(Box::new(Tracked { state, request, attempt, lease_ms }))
    }

    pub(super) fn add_hold(&mut self, effects: &mut Effects, name: Name, size: u32, remembers_size: bool, hold: Hold) {
        effects.granted(name.clone(), &hold, None);
        if remembers_size {
            self.remembered_sizes.forget(&name);
        }
        self.usages.add(hold.caller, hold.usage(&name));
        hold.owner.session().into_iter().for_each(|session| self.sessions.add_hold(session));
        self.locks.add_hold(name, size, if remembers_size { size } else { 0 }, hold);
    }

    /// Drops a lock without holds and waiters, and remembers its size if a client wants that. Whether it was unused.
    pub(super) fn forget_unused(&mut self, name: &Name) -> bool {
        let Some(lock) = self.locks.remove_unused(name) else { return false };
        if lock.size_to_remember() > 0 {
            let limits = &self.header.limits;
            let until = self.header.now.after_ms(limits.remembered_size_idle_ms);
            self.remembered_sizes.remember(name, lock.size_to_remember(), until, limits.remembered_sizes_max);
        }
        true
    }
}

impl Effects {
    pub(super) fn granted(&mut self, name: Name, hold: &Hold, replaces: Option<Token>) {
        let (token, session, dialect) = (hold.token, hold.owner.session(), hold.dialect);
        self.events.push(Event::Granted { name, token, replaces, session, dialect });
    }
}
