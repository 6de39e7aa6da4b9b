//! What ends by itself, and what the end of a hold or a wait brings with it.

use super::{Hold, Owner, Reference, Waiter};
use latchd::domain::{EndReason, Event, HoldKey, Name, SessionId, Timestamp, Token, WaitEnd};

impl Reference {
    pub fn expire(&mut self, sessions_may_end: bool) {
        for (id, session) in self.sessions.clone() {
            let idle = self.now > session.seen.after_ms(session.idle_timeout_ms) && self.waits_of(id) == 0;
            if sessions_may_end && idle {
                self.end_session(id, true);
            }
        }
        while let Some(name) = self.due() {
            self.expire_lock(&name);
        }
        self.clear_ended_sessions();
        self.end_freezes();
        self.idle_sizes.retain(|(until, ..)| self.now <= *until);
        self.forget_requests();
        self.marks.retain(|_, (_, until)| self.now <= *until);
    }

    /// The lock to expire next: leases first, then waits, then delays, each in order of time.
    fn due(&self) -> Option<Name> {
        let is_due = |(end, _): &(Timestamp, Name)| self.now > *end;
        let leases =
            self.holds.iter().filter_map(|hold| Some((hold.deadline?, hold.token, hold.claim.first().clone())));
        let lease = leases.min().map(|(end, _, name)| (end, name));
        let waits = self.waiters.iter().map(|waiter| (waiter.deadline, waiter.claim.first().clone()));
        // The first of equal ones, because they are in order of arrival.
        let wait = waits.min_by_key(|(end, _)| *end);
        let delay = self.delays.iter().map(|(name, (end, _))| (*end, name.clone())).min();
        [lease, wait, delay].into_iter().flatten().find(is_due).map(|(_, name)| name)
    }

    /// Ends all that belongs to ended sessions, and forgets them.
    pub fn clear_ended_sessions(&mut self) {
        while let Some(id) = self.sessions.iter().find(|(_, session)| session.ended).map(|(id, _)| *id) {
            let hold = self.holds.iter().filter(|hold| hold.owner.session == Some(id)).min_by_key(|hold| hold.token);
            let waiter = self.waiters.iter().find(|waiter| waiter.owner.session == Some(id));
            let name = hold.map(|hold| &hold.claim).or(waiter.map(|waiter| &waiter.claim)).map(|claim| claim.first());
            match name.cloned() {
                Some(name) => self.expire_lock(&name),
                None => _ = self.sessions.remove(&id),
            }
        }
    }

    /// Expires one lock. What is free is granted before waits time out, also to a wait for several names.
    pub fn expire_lock(&mut self, name: &Name) {
        self.end_due_holds(name);
        let is_over = |waiter: &Waiter| self.now > waiter.deadline && !self.is_gone(&waiter.owner);
        let over = self.waiters_of(name).filter(|waiter| is_over(waiter)).flat_map(|waiter| waiter.claim.names());
        let others: Vec<Name> = over.filter(|other| other != name).collect();
        others.iter().for_each(|other| self.end_due_holds(other));
        let mut left = vec![name.clone()];
        for waiter in self.waiters_of(name).cloned().collect::<Vec<_>>() {
            if self.is_gone(&waiter.owner) {
                self.end_wait(waiter.key, WaitEnd::SessionEnded);
            } else if self.now > waiter.deadline {
                self.end_wait(waiter.key, WaitEnd::TimedOut);
            } else {
                continue;
            }
            left.extend(waiter.claim.names());
        }
        self.grant(left);
    }

    fn end_due_holds(&mut self, name: &Name) {
        if self.delays.get(name).is_some_and(|(until, _)| self.now > *until) {
            self.delays.remove(name);
        }
        let mut left = vec![name.clone()];
        for hold in self.holds_of(name).cloned().collect::<Vec<_>>() {
            if hold.deadline.is_some_and(|deadline| self.now > deadline) {
                self.end_hold(hold.token, EndReason::Expired);
            } else if self.is_gone(&hold.owner) {
                self.end_hold(hold.token, EndReason::SessionEnded);
            } else {
                continue;
            }
            left.extend(hold.claim.names());
        }
        self.grant(left);
    }

    pub fn end_session(&mut self, id: SessionId, idle: bool) {
        self.sessions.entry(id).and_modify(|session| (session.ended, session.timed_out) = (true, idle));
        self.expect(Event::SessionEnded { session: id, idle });
    }

    /// Ends a hold under all its names. Its names can then be granted.
    pub fn end_hold(&mut self, token: Token, why: EndReason) {
        let Some(at) = self.holds.iter().position(|hold| hold.token == token) else { return };
        let hold = self.holds.remove(at);
        let (session, dialect, since, deadline) = (hold.owner.session, hold.dialect, hold.since, hold.deadline);
        let timed_out = session.and_then(|id| self.sessions.get(&id)).is_some_and(|session| session.timed_out);
        let is_unclean = why == EndReason::Expired || (why == EndReason::SessionEnded && timed_out);
        for name in hold.claim.names() {
            let is_election = hold.claim.value.is_some();
            self.expect(Event::HoldEnded {
                name: name.clone(),
                token,
                why,
                session,
                dialect,
                since,
                deadline,
                is_election,
            });
            self.remember(&name, &hold, why, why == EndReason::SessionEnded && timed_out);
            if is_unclean && hold.claim.delay_ms > 0 {
                self.delay(&name, self.now.after_ms(hold.claim.delay_ms), &hold);
            }
            if hold.claim.value.is_some() {
                let reliable = self.now.after_ms(self.limits.election_reliable_ms);
                self.delay(&name, deadline.map_or(reliable, |deadline| deadline.min(reliable)), &hold);
            }
        }
        self.end_upgrade(token);
    }

    /// A moment that has passed delays nothing; a longer delay stays.
    fn delay(&mut self, name: &Name, until: Timestamp, hold: &Hold) {
        let is_longer = self.delays.get(name).is_none_or(|(before, _)| *before < until);
        if until >= self.now && is_longer {
            self.delays.insert(name.clone(), (until, hold.token));
            self.delayed_for.remove(name);
            if self.has_bounds() {
                self.delayed_for.insert(name.clone(), hold.caller);
            }
        }
    }

    /// Nobody waits any more for this hold to become exclusive.
    pub fn end_upgrade(&mut self, token: Token) {
        let upgrade = self.waiters.iter().find(|waiter| waiter.upgrades == Some(token));
        upgrade.map(|waiter| waiter.key).into_iter().for_each(|key| self.end_wait(key, WaitEnd::HoldEnded));
    }

    pub fn end_wait(&mut self, key: HoldKey, why: WaitEnd) {
        let Some(at) = self.waiters.iter().position(|waiter| waiter.key == key) else { return };
        let waiter = self.waiters.remove(at);
        self.after_wait(&waiter.owner);
        self.tell_wait_ended(&waiter, why);
        waiter.request.into_iter().for_each(|request| _ = self.requests.remove(&request));
    }

    pub fn tell_wait_ended(&mut self, waiter: &Waiter, why: WaitEnd) {
        if waiter.is_attached() {
            let frozen = if why == WaitEnd::TimedOut { self.frozen_by(&waiter.claim.names(), true) } else { None };
            self.expect(Event::WaiterEnded { command: waiter.command, why, frozen });
        }
    }

    /// A session is idle from the end of its last wait on.
    pub fn after_wait(&mut self, owner: &Owner) {
        if let Some(id) = owner.session.filter(|id| self.waits_of(*id) == 0) {
            self.sessions.entry(id).and_modify(|session| session.seen = self.now);
        }
    }

    /// Forgets a lock that nobody has, wants or is kept from, and remembers its size for LDLM's clients.
    pub fn forget_unused(&mut self, name: &Name) {
        if self.is_known(name) {
            return;
        }
        self.sizes.remove(name);
        self.resized.remove(name);
        if let Some(size) = self.ldlm_sizes.remove(name) {
            self.remember_size(name, size);
        }
    }

    pub fn remember_size(&mut self, name: &Name, size: u32) {
        let until = self.now.after_ms(self.limits.remembered_size_idle_ms);
        self.idle_sizes.retain(|(_, idle, _)| idle != name);
        self.idle_sizes.push((until, name.clone(), size));
        self.idle_sizes.sort();
        let surplus = self.idle_sizes.len().saturating_sub(self.limits.remembered_sizes_max as usize);
        self.idle_sizes.drain(..surplus);
    }
}
