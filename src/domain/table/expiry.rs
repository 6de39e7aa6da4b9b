//! Expiry: leases, waits, idle sessions, remembered sizes and idempotency keys end with time, in bounded batches.

use super::{Effects, Table};
use crate::domain::ids::{Name, SessionId};
use crate::domain::outcome::Event;
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;

impl Table {
    /// When something expires next; a past moment while there is a backlog, `None` if nothing ever expires.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.sessions.first_ended().is_some() {
            return Some(Timestamp(0));
        }
        let deadlines = [
            self.locks.next_deadline(),
            self.sessions.next_deadline(),
            self.idempotency_keys.next_deadline(),
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
                self.end_session(effects, session, true);
            }
        }
        while let Some(name) = self.locks.due(now).cloned().filter(|_| effects.spend()) {
            self.expire_due_lock(effects, &name);
        }
        self.clear_ended_sessions(effects);
        while effects.budget > 0 && self.remembered_sizes.forget_due(now) {
            effects.budget -= 1;
        }
        while effects.budget > 0 && self.idempotency_keys.remove_due(now, &mut self.usages) {
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
}
