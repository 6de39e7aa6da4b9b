//! Lost requests and their retries in the reference model.

use super::{Claim, Reference, Waiter};
use latchd::domain::{
    Acquire, CommandId, EndReason, Grant, HoldKey, IDEMPOTENCY_KEY_KEPT_MS, IdempotencyId, IdempotencyKey, Incarnation,
    Name, ORPHAN_MS, Outcome, Proof, Refusal, SessionId, Token, Undone, Wait, WaitEnd,
};

/// What a request was given.
pub enum Made {
    Session(SessionId),
    /// Its index in the list of waiters.
    Waiter(usize),
    /// Its index in the list of holds.
    Hold(usize),
}

impl Reference {
    pub fn knows_requests(&self) -> bool {
        self.level >= 2
    }

    pub fn confirms(&self) -> bool {
        self.confirm && self.level >= 2
    }

    pub fn made_something(&self, id: IdempotencyId) -> bool {
        self.made_by(id).is_some()
    }

    fn made_by(&self, id: IdempotencyId) -> Option<Made> {
        let session = self.sessions.iter().find(|(_, session)| !session.ended && session.request == Some(id));
        let waiter = self.waiters.iter().position(|waiter| waiter.request == Some(id));
        let hold = self.holds.iter().position(|hold| hold.request == Some(id));
        let waiter_or_hold = waiter.map(Made::Waiter).or(hold.map(Made::Hold));
        session.map(|(id, _)| Made::Session(*id)).or(waiter_or_hold)
    }

    /// Keys are kept while their result lives, and for a time after their last use.
    pub fn forget_requests(&mut self) {
        let all: Vec<IdempotencyId> = self.requests.keys().copied().collect();
        for id in all {
            if !self.made_something(id) && self.requests.get(&id).is_some_and(|(_, until)| self.now > *until) {
                self.requests.remove(&id);
            }
        }
    }

    /// What the request was given, if it was made before under the same key.
    pub fn recall(&mut self, key: IdempotencyKey) -> Option<Result<Made, Refusal>> {
        let (body, until) = *self.requests.get(&key.id)?;
        let made = self.made_by(key.id);
        if made.is_none() && self.now > until {
            self.requests.remove(&key.id);
            return None;
        }
        if body != key.body {
            return Some(Err(Refusal::RequestReused));
        }
        self.keep_request(key.id);
        Some(made.ok_or(Refusal::RequestEnded))
    }

    pub fn answer_again(&mut self, id: CommandId, ask: &Acquire, actual: &Outcome) -> Option<Result<Outcome, Refusal>> {
        let made = self.recall(ask.idempotency_key?)?;
        Some(made.and_then(|made| match made {
            Made::Hold(at) if *self.holds[at].claim.first() == ask.name => {
                Ok(Outcome::Acquired(self.give_again(at, ask.key)))
            }
            Made::Waiter(at) if *self.waiters[at].claim.first() == ask.name => {
                self.check_limits(ask)?;
                if ask.wait.is_none() {
                    return Err(Refusal::RequestReused);
                }
                let Waiter { priority, claim, orphaned, .. } = self.waiters[at].clone();
                let anew = Waiter { claim, ..self.waiter(id, &Acquire { priority, ..ask.clone() }) };
                if orphaned {
                    self.check_deadlock(&anew, Some(at), actual)?;
                }
                self.wait_anew(at, anew, ask)
            }
            _ => Err(Refusal::RequestReused),
        }))
    }

    /// Gives the same hold again. If the attempt before was lost, only this one counts as answered.
    fn give_again(&mut self, at: usize, attempt: HoldKey) -> Grant {
        let token = self.holds[at].token;
        let is_only = self.holds[at].orphaned;
        self.revive(token);
        let hold = &mut self.holds[at];
        hold.attempt = is_only.then_some(attempt);
        Grant { key: hold.key, token, since: hold.since, deadline: hold.deadline }
    }

    /// Confirms a hold: an orphaned one gets its full lease.
    fn revive(&mut self, token: Token) {
        let Some(at) = self.holds.iter().position(|hold| hold.token == token) else { return };
        let whole = self.lease_end(self.holds[at].lease_ms);
        let hold = &mut self.holds[at];
        if hold.orphaned {
            hold.deadline = whole;
        }
        (hold.orphaned, hold.unconfirmed) = (false, None);
    }

    /// A renewal confirms the hold, even if the answer to some attempt was lost.
    pub fn heard_of(&mut self, token: Token) {
        self.revive(token);
        if let Some(hold) = self.hold_mut(token).filter(|hold| hold.request.is_some()) {
            hold.attempt = None;
        }
    }

    pub fn confirm_delivery(&mut self, name: &Name, key: HoldKey) -> Result<Outcome, Refusal> {
        let token = self.find(name, &Proof::Key(key))?;
        self.revive(token);
        Ok(Outcome::Confirmed)
    }

    /// The first in the queue: a label that is not reentrant may wait more than once.
    pub fn cancel_wait(&mut self, name: &Name, label: &str) -> Result<Outcome, Refusal> {
        let own = self
            .waiters_of(name)
            .filter(|waiter| waiter.owner.session.is_none() && waiter.owner.label.as_deref() == Some(label));
        let first = own.min_by_key(|waiter| std::cmp::Reverse(waiter.priority)).ok_or(Refusal::NotWaiting)?;
        let (key, names) = (first.key, first.claim.names());
        self.end_wait(key, WaitEnd::Cancelled);
        self.grant(names);
        Ok(Outcome::Cancelled(Undone::Wait))
    }

    pub fn check_requests(&self, request: Option<IdempotencyKey>) -> Result<(), Refusal> {
        let limit = self.limits.requests_max;
        let is_full = request.is_some() && self.requests.len() as u64 >= limit;
        if is_full { Err(Refusal::IdempotencyKeysFull { limit }) } else { Ok(()) }
    }

    pub fn note_request(&mut self, request: Option<IdempotencyKey>) {
        if let Some(IdempotencyKey { id, body }) = request {
            self.requests.insert(id, (body, self.now.after_ms(IDEMPOTENCY_KEY_KEPT_MS)));
        }
    }

    pub fn keep_request(&mut self, id: IdempotencyId) {
        self.requests.entry(id).and_modify(|(_, until)| *until = self.now.after_ms(IDEMPOTENCY_KEY_KEPT_MS));
    }

    /// The request of a waiter is lost.
    pub fn lose_wait(&mut self, key: HoldKey, why: WaitEnd) {
        let Some(at) = self.waiters.iter().position(|waiter| waiter.key == key) else { return };
        if self.waiters[at].request.is_none() {
            return self.end_wait(key, why);
        }
        let lost = self.waiters[at].clone();
        if !lost.orphaned {
            self.tell_wait_ended(&lost, why);
            self.waiters[at].deadline = lost.deadline.min(self.now.after_ms(ORPHAN_MS));
            self.waiters[at].orphaned = true;
        }
    }

    /// The node of an unconfirmed hold is dead: the lock is free for others, and a retry in time is first in the queue.
    pub fn take_back(&mut self, token: Token, dead: Incarnation) {
        let Some(hold) = self.holds.iter().find(|hold| hold.token == token).cloned() else { return };
        let size_of = |(name, size): &(Name, u32)| (name.clone(), self.sizes.get(name).copied().unwrap_or(*size));
        let claim = Claim { places: hold.claim.places.iter().map(size_of).collect(), ..hold.claim };
        self.end_hold(token, EndReason::Cancelled);
        if hold.request.is_none() || self.waiters.iter().any(|waiter| waiter.key == hold.key) {
            return;
        }
        hold.request.into_iter().for_each(|request| self.keep_request(request));
        // Only an upgrade is before it.
        let priority = if self.has_modes() { i32::MAX - 1 } else { i32::MAX };
        self.waiters.push(Waiter {
            claim,
            upgrades: None,
            key: hold.key,
            command: CommandId { incarnation: dead, sequence: 0 },
            since: hold.since,
            wait: Wait::Attached { timeout_ms: ORPHAN_MS },
            deadline: self.now.after_ms(ORPHAN_MS),
            owner: hold.owner,
            priority,
            remembers_size: false,
            lease_ms: hold.lease_ms,
            metadata: hold.metadata,
            dialect: hold.dialect,
            request: hold.request,
            orphaned: true,
            caller: hold.caller,
        });
    }

    /// The attempt that acquired a hold was lost, and nobody was told of the hold.
    pub fn lose_hold(&mut self, token: Token) {
        let until = self.now.after_ms(ORPHAN_MS);
        let Some(hold) = self.hold_mut(token) else { return };
        if hold.request.is_none() {
            return self.end_hold(token, EndReason::Cancelled);
        }
        if !hold.orphaned {
            hold.deadline = Some(hold.deadline.map_or(until, |deadline| deadline.min(until)));
            (hold.orphaned, hold.unconfirmed) = (true, None);
        }
    }
}
