//! Expiry: leases, waits, idle sessions, remembered sizes and idempotency keys end with time, in bounded batches.

use super::{Effects, Table, Vacancy};
use crate::domain::ids::{Name, SessionId};
use crate::domain::locks::{Hold, Place, Waiter};
use crate::domain::outcome::{EndReason, Event, ThawReason, WaitEnd};
use crate::domain::sessions::TimedOut;
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;

impl Table {
    /// When something expires next; a past moment while there is a backlog, `None` if nothing ever expires.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.sessions.first_ended().is_some() || self.freezes.sweep.is_some() {
            return Some(Timestamp(0));
        }
        let deadlines = [
            self.locks.next_deadline(),
            self.sessions.next_deadline(),
            self.idempotency_keys.next_deadline(),
            self.marks.next_deadline(),
            self.freezes.next_deadline(),
            self.remembered_sizes.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Expires what is due, within the entry's budget. The rest counts as ended wherever a command looks at it, and is
    /// left to the next entry.
    pub(super) fn expire_due(&mut self, effects: &mut Effects, sessions_may_end: bool) {
        let now = self.header.now;
        if sessions_may_end {
            while let Some(session) = self.sessions.due(now).filter(|_| effects.spend()) {
                self.end_session(effects, session, Some(TimedOut));
            }
        }
        while let Some(name) = self.locks.due(now).cloned().filter(|_| effects.spend()) {
            self.expire_due_lock(effects, &name);
        }
        self.clear_ended_sessions(effects);
        while let Some(target) = self.freezes.due(now).cloned().filter(|_| effects.spend()) {
            self.end_freeze(effects, &target, ThawReason::Ended);
        }
        self.sweep(effects);
        while effects.budget > 0 && self.remembered_sizes.forget_due(now) {
            effects.budget -= 1;
        }
        while effects.budget > 0 && self.idempotency_keys.remove_due(now, &mut self.usages) {
            effects.budget -= 1;
        }
        while effects.budget > 0 && self.marks.forget_due(now, &mut self.usages) {
            effects.budget -= 1;
        }
    }

    /// Removes the holds and waiters of ended sessions, then the sessions.
    pub(super) fn clear_ended_sessions(&mut self, effects: &mut Effects) {
        while let Some(session) = self.sessions.first_ended().filter(|_| effects.spend()) {
            match self.locks.any_of(session).cloned() {
                Some(name) => self.clear_lock_of(effects, session, &name),
                None => {
                    if let Some(session) = self.sessions.remove_ended(session) {
                        self.usages.remove(session.caller, Usage::SESSION);
                    }
                }
            }
        }
    }

    fn clear_lock_of(&mut self, effects: &mut Effects, session: SessionId, name: &Name) {
        self.expire_lock(effects, name);
        if self.locks.any_of(session) == Some(name) {
            effects.events.push(Event::Broken("a session's hold or waiter that its lock does not have"));
            self.locks.forget_any_of(session);
        }
    }

    /// If nothing of a due lock ends, the index is wrong: repaired and reported.
    fn expire_due_lock(&mut self, effects: &mut Effects, name: &Name) {
        let before = self.locks.deadline_counts();
        self.expire_lock(effects, name);
        if before == self.locks.deadline_counts() && self.locks.due(self.header.now) == Some(name) {
            effects.events.push(Event::Broken("a deadline without its hold or waiter"));
            self.locks.drop_due(self.header.now);
        }
    }

    /// Ends holds whose lease has expired, waits that have timed out, a delay that is over and what belongs to ended sessions,
    /// and grants the lock to its waiters. Called before a command looks at the lock, too.
    pub(super) fn expire_lock(&mut self, effects: &mut Effects, name: &Name) {
        let Some(lock) = self.locks.get(name) else { return };
        if !lock.next_deadline().is_past(self.header.now) && self.sessions.first_ended().is_none() {
            return;
        }
        self.grant_what_is_free(effects, name);
        self.names_timed_out(name).iter().for_each(|other| self.grant_what_is_free(effects, other));
        if let Some(vacancy) = self.remove_ended_waits(effects, name) {
            self.grant_waiters(effects, name, vacancy);
        }
        self.locks.recompute_next_deadline(name);
    }

    fn grant_what_is_free(&mut self, effects: &mut Effects, name: &Name) {
        self.end_delay_if_over(name);
        let vacancy = self.remove_ended_holds(effects, name);
        self.grant_waiters(effects, name, vacancy);
    }

    /// The names of the waits for several that have timed out: the other locks may be free, too.
    fn names_timed_out(&self, name: &Name) -> Vec<Name> {
        let Some(lock) = self.locks.get(name) else { return Vec::new() };
        let is_over = |waiter: &Waiter| self.reason_of_wait_end(waiter) == Some(WaitEnd::TimedOut);
        let over = lock.queue().iter().filter(|(_, waiter)| !waiter.names().is_empty() && is_over(waiter));
        over.flat_map(|(_, waiter)| waiter.names()).map(|(other, _)| other.clone()).collect()
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
        let mut vacancy = Vacancy::default();
        for (hold, why) in self.locks.remove_holds(name, reason) {
            vacancy = vacancy.and(self.hold_ended(effects, name, &hold, why));
        }
        vacancy
    }

    fn remove_ended_waits(&mut self, effects: &mut Effects, name: &Name) -> Option<Vacancy> {
        let queue = self.locks.get(name)?.queue().iter();
        let ended = queue.filter_map(|(place, waiter)| Some((*place, self.reason_of_wait_end(waiter)?)));
        let ended: Vec<(Place, WaitEnd)> = ended.collect();
        ended.into_iter().fold(None, |vacancy: Option<Vacancy>, (place, why)| {
            Some(vacancy.unwrap_or_default().and(self.end_wait(effects, name, place, why)))
        })
    }

    fn reason_of_wait_end(&self, waiter: &Waiter) -> Option<WaitEnd> {
        if waiter.owner.session().is_some_and(|session| !self.sessions.is_live(session)) {
            return Some(WaitEnd::SessionEnded);
        }
        waiter.deadline.is_past(self.header.now).then_some(WaitEnd::TimedOut)
    }
}
