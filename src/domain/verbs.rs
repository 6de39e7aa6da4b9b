//! Giving back: release, renew, cancel, force, and how holds and waits end.

use super::claims::tell_wait_ended;
use super::command::Proof;
use super::ids::{HoldKey, Name, Token};
use super::lock::{Hold, Lock, Place, Waiter};
use super::outcome::{EndReason, Event, Outcome, Refusal, WaitEnd};
use super::table::{Run, Table};
use crate::mutants;

impl Table {
    pub(super) fn release(&mut self, run: &mut Run, name: &Name, proof: &Proof) -> Outcome {
        match self.find_hold(name, proof) {
            Ok(token) => self.end_and_hand_on(run, name, token, EndReason::Released),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    pub(super) fn force_release(&mut self, run: &mut Run, name: &Name, key: HoldKey) -> Outcome {
        match self.find_by_key(name, key) {
            Ok(token) => self.end_and_hand_on(run, name, token, EndReason::Forced),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// The lease starts anew from now; it may become shorter.
    pub(super) fn renew(&mut self, name: &Name, proof: &Proof, lease_ms: u64) -> Outcome {
        if let Err(refusal) = self.limits.check_lease(Some(lease_ms)) {
            return Outcome::Refused(refusal);
        }
        let token = match self.find_hold(name, proof) {
            Ok(token) => token,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        // With an idempotency key several attempts may have been answered, and one of them must have been.
        self.heard_of(name, token, |claim| claim.attempt.filter(|_| claim.request.is_none()));
        let deadline = self.now.after_ms(lease_ms.max(1));
        let Some((name, lock)) = self.locks.get_key_value(name) else {
            return Outcome::Refused(Refusal::NoSuchLock);
        };
        let name = name.clone();
        let shortens = lock.next_due > deadline;
        let Some(hold) = self.locks.get_mut(&name).and_then(|lock| lock.holds.iter_mut().find(|h| h.token == token))
        else {
            return Outcome::Refused(Refusal::WrongKey);
        };
        if hold.lease().is_none() {
            return Outcome::Refused(Refusal::NoLease);
        }
        self.index.remove_lease(hold);
        hold.deadline = deadline;
        self.index.add_lease(&name, hold);
        let grant = hold.grant();
        if shortens && let Some(lock) = self.locks.get_mut(&name) {
            lock.expects(deadline);
        }
        Outcome::Renewed(grant)
    }

    /// Undoes an acquire by the key that it brought, whatever became of it.
    pub(super) fn cancel(&mut self, run: &mut Run, name: &Name, key: HoldKey) -> Outcome {
        if let Some(place) = self.place_of(name, key).filter(|_| !mutants::on("waiter-not-dropped")) {
            self.lose_wait(run, name, place, WaitEnd::Cancelled);
            self.hand_on(run, name);
        } else if let Some(token) = self.granted_to(name, key) {
            self.lose_hold(run, name, token, EndReason::Cancelled);
            self.hand_on(run, name);
        }
        Outcome::Cancelled
    }

    pub(super) fn cancel_wait(&mut self, run: &mut Run, name: &Name, label: &str) -> Outcome {
        let Some(place) = self.own_place(name, label) else {
            return Outcome::Refused(Refusal::NotWaiting);
        };
        self.end_wait(run, name, place, WaitEnd::Cancelled);
        self.hand_on(run, name);
        Outcome::Cancelled
    }

    /// Where the waiter of this owner label stands.
    pub(super) fn own_place(&self, name: &Name, label: &str) -> Option<Place> {
        let is_own = |waiter: &Waiter| waiter.owner.label().is_some_and(|owner| **owner == *label);
        let queue = &self.locks.get(name)?.queue;
        queue.iter().find(|(_, waiter)| is_own(waiter)).map(|(place, _)| *place)
    }

    /// Where the waiter that came with this key stands.
    pub(super) fn place_of(&self, name: &Name, key: HoldKey) -> Option<Place> {
        self.index.waiting_keys.get(&key).filter(|(at, _)| at == name).map(|(_, place)| *place)
    }

    fn granted_to(&self, name: &Name, attempt: HoldKey) -> Option<Token> {
        let lock = self.locks.get(name)?;
        lock.holds.iter().find(|hold| hold.hangs_on(attempt)).map(|hold| hold.token)
    }

    pub(super) fn find_by_key(&self, name: &Name, key: HoldKey) -> Result<Token, Refusal> {
        self.find_hold(name, &Proof::Key(key))
    }

    pub(super) fn find_hold(&self, name: &Name, proof: &Proof) -> Result<Token, Refusal> {
        let lock = self.locks.get(name);
        if lock.is_none() && self.remembered.size(name).is_none() {
            return Err(Refusal::NoSuchLock);
        }
        let holds = lock.map_or(&[][..], |lock| &lock.holds);
        let opened = holds.iter().find(|hold| proof.opens(hold));
        opened.map(|hold| hold.token).ok_or_else(|| proof.why_none(holds))
    }

    fn end_and_hand_on(&mut self, run: &mut Run, name: &Name, token: Token, why: EndReason) -> Outcome {
        self.end_hold(run, name, token, why);
        // Nearly always nobody waits.
        let waiter_granted = !self.forget_unused(name) && self.hand_on(run, name);
        Outcome::Released { waiter_granted }
    }

    /// Removes a hold. Whoever calls this hands the room on.
    pub(super) fn end_hold(&mut self, run: &mut Run, name: &Name, token: Token, why: EndReason) {
        let Some(lock) = self.locks.get_mut(name) else { return };
        let Some(at) = lock.holds.iter().position(|hold| hold.token == token) else { return };
        let hold = lock.holds.remove(at);
        self.forget_hold(run, name, &hold, why);
    }

    /// What else knows of a hold that its lock has no more.
    pub(super) fn forget_hold(&mut self, run: &mut Run, name: &Name, hold: &Hold, why: EndReason) {
        hold.request().into_iter().for_each(|request| self.end_request(request));
        self.forget_all_but_request(run, name, hold, why);
    }

    /// The same where its request is given something else.
    pub(super) fn forget_all_but_request(&mut self, run: &mut Run, name: &Name, hold: &Hold, why: EndReason) {
        run.budget = run.budget.saturating_sub(1);
        self.index.remove_hold(name, hold);
        if let Some(session) = hold.owner.session() {
            self.discount_hold(session);
        }
        let (token, session, dialect) = (hold.token, hold.owner.session(), hold.dialect);
        let (since, deadline) = (hold.since, hold.lease());
        run.events.push(Event::HoldEnded { name: name.clone(), token, why, session, dialect, since, deadline });
    }

    pub(super) fn end_wait(&mut self, run: &mut Run, name: &Name, place: Place, why: WaitEnd) {
        if let Some(waiter) = self.take_waiter(name, place) {
            run.budget = run.budget.saturating_sub(1);
            self.forget_wait(run, &waiter, why);
        }
    }

    /// A wait that came to nothing is told, and leaves no trace: its request may be made again.
    pub(super) fn forget_wait(&mut self, run: &mut Run, waiter: &Waiter, why: WaitEnd) {
        waiter.request.into_iter().for_each(|request| self.drop_request(request));
        tell_wait_ended(run, waiter, why);
    }

    pub(super) fn take_waiter(&mut self, name: &Name, place: Place) -> Option<Waiter> {
        let waiter = self.locks.get_mut(name)?.queue.remove(&place)?;
        self.index.remove_waiter(name, place, &waiter);
        if let Some(session) = waiter.owner.session() {
            self.discount_waiter(session);
        }
        Some(waiter)
    }

    /// Drops a lock without holds and waiters; its size stays behind where a dialect's rules want that. Whether it did.
    pub(super) fn forget_unused(&mut self, name: &Name) -> bool {
        let Some(lock) = self.locks.remove_if(name, Lock::is_unused) else { return false };
        if lock.size_to_remember > 0 {
            let limits = &self.limits;
            let until = self.now.after_ms(limits.remembered_size_idle_ms);
            self.remembered.remember(name, lock.size_to_remember, until, limits.remembered_sizes_max);
        }
        true
    }
}

impl Proof {
    fn opens(&self, hold: &Hold) -> bool {
        match self {
            Proof::Key(key) => hold.key == *key,
            Proof::TakenBy(dialect) => hold.dialect == *dialect,
            Proof::Label { label, token } => hold.is_of(label) && token.is_none_or(|token| token == hold.token),
        }
    }

    /// Why it opens none of these.
    fn why_none(&self, holds: &[Hold]) -> Refusal {
        match self {
            Proof::Key(_) | Proof::TakenBy(_) => Refusal::WrongKey,
            Proof::Label { label, .. } if holds.iter().any(|hold| hold.is_of(label)) => Refusal::TokenMismatch,
            Proof::Label { .. } => Refusal::NotOwner,
        }
    }
}
