//! What time does by itself: leases, waits, idle sessions, remembered sizes and idempotency keys end, in bounded
//! batches.

use super::ids::{Name, SessionId};
use super::outcome::Event;
use super::table::{Run, Table};
use super::time::Timestamp;
use super::usage::Usage;

impl Table {
    /// When something is due next; a past moment while there is a backlog. `None` when nothing is pending.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if !self.index.ended_sessions.is_empty() {
            return Some(Timestamp(0));
        }
        let lease = self.index.leases.first_key_value().map(|((at, _), _)| *at);
        let wait = self.index.waits.first_key_value().map(|((at, _), _)| *at);
        let session = self.index.sessions.first().map(|(at, _)| *at);
        let request = self.index.ended_requests.first().map(|(at, _)| *at);
        [lease, wait, session, request, self.remembered.next_due()].into_iter().flatten().min()
    }

    /// Works off what is due, as far as the entry's budget goes. What is left counts as ended wherever a command
    /// looks at it, and the next entry goes on.
    pub(super) fn expire_due(&mut self, run: &mut Run, sessions_may_end: bool) {
        if sessions_may_end {
            while let Some(session) = self.due_session().filter(|_| run.spend()) {
                self.end_session(run, session, true);
            }
        }
        while let Some(name) = self.due_name().filter(|_| run.spend()) {
            self.settle_due(run, &name);
        }
        self.sweep(run);
        while run.budget > 0 && self.remembered.forget_due(self.now) {
            run.budget -= 1;
        }
        while run.budget > 0 && self.drop_due_request() {
            run.budget -= 1;
        }
    }

    /// Takes holds and waiters from ended sessions, and forgets the sessions that have none left.
    pub(super) fn sweep(&mut self, run: &mut Run) {
        while let Some(session) = self.index.ended_sessions.first().copied().filter(|_| run.spend()) {
            self.sweep_one(run, session);
        }
    }

    fn due_session(&self) -> Option<SessionId> {
        self.index.sessions.first().filter(|(at, _)| at.is_past(self.now)).map(|(_, session)| *session)
    }

    fn due_name(&self) -> Option<Name> {
        let lease = self.index.leases.first_key_value().filter(|((at, _), _)| at.is_past(self.now));
        let wait = || self.index.waits.first_key_value().filter(|((at, _), _)| at.is_past(self.now));
        lease.map(|(_, name)| name.clone()).or_else(|| wait().map(|(_, name)| name.clone()))
    }

    /// Settles a lock that the index calls due. If nothing comes of it the index is wrong: mended, and told.
    fn settle_due(&mut self, run: &mut Run, name: &Name) {
        let before = (self.index.leases.len(), self.index.waits.len());
        self.settle(run, name);
        if before == (self.index.leases.len(), self.index.waits.len()) && self.due_name().as_ref() == Some(name) {
            run.events.push(Event::Broken("a deadline without its hold or waiter"));
            if self.index.leases.first_key_value().is_some_and(|((at, _), _)| at.is_past(self.now)) {
                self.index.leases.pop_first();
            } else {
                self.index.waits.pop_first();
            }
        }
    }

    /// Clears one lock of an ended session, or forgets the session once it has none left.
    fn sweep_one(&mut self, run: &mut Run, session: SessionId) {
        let Some(name) = self.index.any_of(session).cloned() else {
            self.index.ended_sessions.remove(&session);
            if let Some(gone) = self.sessions.remove(&session) {
                self.index.usages.remove(gone.caller, Usage::SESSION);
            }
            return;
        };
        self.settle(run, &name);
        if self.index.any_of(session) == Some(&name) {
            run.events.push(Event::Broken("a session's hold or waiter that its lock does not have"));
            self.index.forget_any_of(session);
        }
    }
}

impl Run {
    fn spend(&mut self) -> bool {
        let left = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        left
    }
}
