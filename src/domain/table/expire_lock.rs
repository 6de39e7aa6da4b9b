//! Expiry of one lock: what has ended leaves it before a command looks at it.

use super::{Effects, Table, Vacancy};
use crate::domain::ids::Name;
use crate::domain::locks::{Hold, Place, Waiter};
use crate::domain::outcome::{EndReason, WaitEnd};

impl Table {
    /// Removes what has ended from a lock, and grants the lock to its waiters.
    pub(super) fn expire_lock(&mut self, effects: &mut Effects, name: &Name) {
        let Some(lock) = self.locks.get(name) else { return };
        if !lock.next_deadline().is_past(self.header.now) && self.sessions.first_ended().is_none() {
            return;
        }
        let vacancy = self.remove_ended_holds(effects, name);
        self.grant_waiters(effects, name, vacancy);
        if let Some(vacancy) = self.remove_ended_waits(effects, name) {
            self.grant_waiters(effects, name, vacancy);
        }
        self.locks.recompute_next_deadline(name);
    }

    fn remove_ended_holds(&mut self, effects: &mut Effects, name: &Name) -> Vacancy {
        let (now, sessions) = (self.header.now, &self.sessions);
        let reason = |hold: &Hold| {
            if hold.deadline.is_past(now) {
                return Some(EndReason::Expired);
            }
            let session = hold.owner.session()?;
            (!sessions.is_live(session)).then_some(EndReason::SessionEnded)
        };
        for (hold, why) in self.locks.remove_holds(name, reason) {
            self.hold_ended(effects, name, &hold, why);
        }
        Vacancy
    }

    fn remove_ended_waits(&mut self, effects: &mut Effects, name: &Name) -> Option<Vacancy> {
        let queue = self.locks.get(name)?.queue().iter();
        let ended = queue.filter_map(|(place, waiter)| Some((*place, self.reason_of_wait_end(waiter)?)));
        let ended: Vec<(Place, WaitEnd)> = ended.collect();
        let mut vacancy = None;
        for (place, why) in ended {
            vacancy = Some(self.end_wait(effects, name, place, why));
        }
        vacancy
    }

    fn reason_of_wait_end(&self, waiter: &Waiter) -> Option<WaitEnd> {
        if waiter.owner.session().is_some_and(|session| !self.sessions.is_live(session)) {
            return Some(WaitEnd::SessionEnded);
        }
        waiter.deadline.is_past(self.header.now).then_some(WaitEnd::TimedOut)
    }
}
