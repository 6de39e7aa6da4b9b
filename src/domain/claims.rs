//! Between a grant and its client: lost attempts, retries that claim what is kept for them, confirmed deliveries.

use super::command::{Acquire, Wait};
use super::idempotency::Made;
use super::ids::{CommandId, HoldKey, Incarnation, Name, Token, WaiterId};
use super::lock::{Claim, Hold, Place, Waiter};
use super::outcome::{EndReason, Event, Outcome, Refusal, WaitEnd};
use super::table::{Run, Table};
use std::cmp::Reverse;

/// How long a place in the queue or an unheard grant is kept for the retry of a request that was lost.
pub const ORPHAN_MS: u64 = 10_000;

impl Table {
    /// A request that was made before is answered with what came of it.
    pub(super) fn answer_again(&mut self, run: &mut Run, id: CommandId, acquire: &Acquire) -> Option<Outcome> {
        let made = match self.recall(acquire.idempotency_key?)? {
            Ok(made) => made,
            Err(refusal) => return Some(Outcome::Refused(refusal)),
        };
        Some(match made {
            Made::Hold { name, token } if name == acquire.name => self.claim_hold(&name, token, acquire.key),
            Made::Waiter { name, key } if name == acquire.name => self.claim_place(run, id, acquire, key),
            _ => Outcome::Refused(Refusal::RequestReused),
        })
    }

    /// The same hold again. A lost one gets its full lease from now; any other keeps its deadline, and as its first
    /// attempt may have been answered, no lost attempt takes it back any more.
    fn claim_hold(&mut self, name: &Name, token: Token, attempt: HoldKey) -> Outcome {
        self.heard_of(name, token, |claim| claim.orphaned.then_some(attempt));
        let hold = self.locks.get(name).and_then(|lock| lock.holds.iter().find(|hold| hold.token == token));
        match hold {
            Some(hold) => Outcome::Acquired(hold.grant()),
            None => Outcome::Refused(Refusal::Broken("a request without its hold")),
        }
    }

    fn claim_place(&mut self, run: &mut Run, id: CommandId, acquire: &Acquire, key: HoldKey) -> Outcome {
        if let Err(refusal) = self.limits.check_acquire(acquire) {
            return Outcome::Refused(refusal);
        }
        if acquire.wait.is_none() {
            return Outcome::Refused(Refusal::RequestReused);
        }
        match self.place_of(&acquire.name, key) {
            Some(place) => self.wait_anew(run, id, acquire, place, place),
            None => Outcome::Refused(Refusal::Broken("a request without its waiter")),
        }
    }

    /// The hold's node has the grant and will answer, or its client shows that it has it.
    pub(super) fn confirm_delivery(&mut self, name: &Name, key: HoldKey) -> Outcome {
        match self.find_by_key(name, key) {
            Ok(token) => {
                self.heard_of(name, token, |claim| claim.attempt);
                Outcome::Confirmed
            }
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// Somebody knows of this hold, or is about to: it is no longer anyone's to take back, and has its full lease.
    pub(super) fn heard_of(
        &mut self,
        name: &Name,
        token: Token,
        attempt: impl FnOnce(&Claim) -> Option<HoldKey>,
    ) -> Option<()> {
        let has_claim = |hold: &&Hold| hold.token == token && hold.claim.is_some();
        let (name, lock) = self.locks.get_key_value(name)?;
        let claim = lock.holds.iter().find(has_claim)?.claim.as_deref()?;
        let deadline = claim.orphaned.then(|| self.lease_end(claim.lease_ms));
        let attempt = attempt(claim);
        let name = name.clone();
        let lock = self.locks.get_mut(&name)?;
        let hold = lock.holds.iter_mut().find(|hold| hold.token == token)?;
        self.index.remove_unconfirmed(hold);
        self.index.remove_lease(hold);
        hold.deadline = deadline.unwrap_or(hold.deadline);
        self.index.add_lease(&name, hold);
        if let Some(claim) = hold.claim.as_deref_mut() {
            *claim = Claim { unconfirmed: None, attempt, orphaned: false, ..claim.clone() };
        }
        hold.drop_empty_claim();
        let deadline = hold.deadline;
        lock.expects(deadline);
        Some(())
    }

    /// The request of a waiter is gone. Whoever calls this hands on.
    pub(super) fn lose_wait(&mut self, run: &mut Run, name: &Name, place: Place, why: WaitEnd) {
        let until = self.now.after_ms(ORPHAN_MS);
        let Some(lock) = self.locks.get_mut(name) else { return };
        match lock.queue.get_mut(&place) {
            Some(waiter) if waiter.request.is_none() => self.end_wait(run, name, place, why),
            Some(waiter) if !waiter.orphaned => {
                self.index.remove_waiter(name, place, waiter);
                tell_wait_ended(run, waiter, why);
                waiter.orphaned = true;
                waiter.deadline = waiter.deadline.min(until);
                let deadline = waiter.deadline;
                self.index.add_waiter(name, place, waiter);
                lock.expects(deadline);
            }
            _ => {}
        }
    }

    /// Nobody will be told of a hold. Whoever calls this hands on.
    pub(super) fn lose_hold(&mut self, run: &mut Run, name: &Name, token: Token, why: EndReason) {
        let until = self.now.after_ms(ORPHAN_MS);
        let Some((name, lock)) = self.locks.get_key_value(name) else { return };
        let Some(hold) = lock.holds.iter().find(|hold| hold.token == token) else { return };
        if hold.request().is_none() {
            return self.end_hold(run, &name.clone(), token, why);
        }
        if hold.is_orphaned() {
            return;
        }
        let name = name.clone();
        let Some(lock) = self.locks.get_mut(&name) else { return };
        let Some(hold) = lock.holds.iter_mut().find(|hold| hold.token == token) else { return };
        self.index.remove_unconfirmed(hold);
        self.index.remove_lease(hold);
        hold.deadline = hold.deadline.min(until);
        if let Some(claim) = hold.claim.as_deref_mut() {
            (claim.orphaned, claim.unconfirmed) = (true, None);
        }
        self.index.add_lease(&name, hold);
        let deadline = hold.deadline;
        lock.expects(deadline);
    }

    /// The process that was to tell of a hold is dead, and nobody else may wait for its client: the room goes on to the
    /// next, and what can be retried has its turn first again. Whoever calls this hands on.
    pub(super) fn take_back(&mut self, run: &mut Run, name: &Name, token: Token, dead: Incarnation) {
        let Some((name, lock)) = self.locks.get_key_value(name) else { return };
        let (name, size) = (name.clone(), lock.size);
        let Some(at) = lock.holds.iter().position(|hold| hold.token == token) else { return };
        let (request, key) = (lock.holds[at].request(), lock.holds[at].key);
        let Some(request) = request.filter(|_| !self.index.waiting_keys.contains_key(&key)) else {
            return self.end_hold(run, &name, token, EndReason::Cancelled);
        };
        let Some(hold) = self.locks.get_mut(&name).map(|lock| lock.holds.remove(at)) else { return };
        self.forget_all_but_request(run, &name, &hold, EndReason::Cancelled);
        let place = (Reverse(i32::MAX), WaiterId(self.next_waiter));
        self.next_waiter += 1;
        let waiter = Waiter {
            command: CommandId { incarnation: dead, sequence: 0 },
            key,
            since: hold.since,
            wait: Wait::Attached { timeout_ms: ORPHAN_MS },
            deadline: self.now.after_ms(ORPHAN_MS),
            owner: hold.owner,
            size,
            remembers_size: false,
            lease_ms: hold.claim.and_then(|claim| claim.lease_ms),
            metadata: hold.metadata,
            dialect: hold.dialect,
            request: Some(request),
            caller: hold.caller,
            orphaned: true,
        };
        self.keep_request(request, Made::Waiter { name: name.clone(), key });
        self.put_in_queue(&name, place, waiter);
    }

    /// The claim of a hold that is granted at once.
    pub(super) fn claim_of(&self, acquire: &Acquire) -> Option<Box<Claim>> {
        let (request, lease_ms) = (acquire.idempotency_key?.id, acquire.lease_ms);
        let attempt = Some(acquire.key);
        Some(Box::new(Claim { unconfirmed: None, request: Some(request), attempt, lease_ms, orphaned: false }))
    }

    /// The claim of a hold whose owner label asked again: no lost attempt takes back what an earlier answer gave.
    pub(super) fn claim_again(&self, acquire: &Acquire) -> Option<Box<Claim>> {
        let (request, lease_ms) = (acquire.idempotency_key.map(|request| request.id), acquire.lease_ms);
        let claim = Claim { unconfirmed: None, request, attempt: None, lease_ms, orphaned: false };
        self.knows_clusters().then(|| Box::new(claim))
    }

    /// The claim of a hold that is granted to a waiter.
    pub(super) fn claim_of_waiter(&self, waiter: &Waiter) -> Option<Box<Claim>> {
        let answered_by = waiter.answered_by().filter(|_| self.confirms_deliveries());
        let unconfirmed = answered_by.map(|command| command.incarnation);
        if unconfirmed.is_none() && waiter.request.is_none() {
            return None;
        }
        let (request, attempt, lease_ms) = (waiter.request, Some(waiter.key), waiter.lease_ms);
        let claim = Claim { unconfirmed, request, attempt, lease_ms, orphaned: false };
        Some(Box::new(claim))
    }
}

pub(super) fn tell_wait_ended(run: &mut Run, waiter: &Waiter, why: WaitEnd) {
    if let Some(command) = waiter.answered_by() {
        run.events.push(Event::WaiterEnded { command, why });
    }
}
