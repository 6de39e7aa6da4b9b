//! Giving back: release, renew, cancel, force, and how holds and waits end.

use super::command::Proof;
use super::ids::{HoldKey, Name, Token};
use super::lock::{Hold, Lock, Owner, Place, Waiter};
use super::outcome::{EndReason, Event, Outcome, Refusal, WaitEnd};
use super::table::{Run, Table};

impl Table {
    pub(super) fn release(&mut self, run: &mut Run, name: &Name, proof: &Proof) -> Outcome {
        match self.find_hold(name, |hold| proof.opens(hold)) {
            Ok(token) => self.end_and_hand_on(run, name, token, EndReason::Released),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    pub(super) fn force_release(&mut self, run: &mut Run, name: &Name, key: HoldKey) -> Outcome {
        match self.find_hold(name, |hold| hold.key == key) {
            Ok(token) => self.end_and_hand_on(run, name, token, EndReason::Forced),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// The lease starts anew from now; it may become shorter.
    pub(super) fn renew(&mut self, name: &Name, key: HoldKey, lease_ms: u64) -> Outcome {
        if let Err(refusal) = self.limits.check_lease(Some(lease_ms)) {
            return Outcome::Refused(refusal);
        }
        let token = match self.find_hold(name, |hold| hold.key == key) {
            Ok(token) => token,
            Err(refusal) => return Outcome::Refused(refusal),
        };
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
        if shortens && let Some(lock) = self.locks.get_mut(&name) {
            lock.expects(deadline);
        }
        Outcome::Renewed { token, deadline }
    }

    /// Undoes an acquire by its key, whatever became of it.
    pub(super) fn cancel(&mut self, run: &mut Run, name: &Name, key: HoldKey) -> Outcome {
        let waiting = self.index.waiting_keys.get(&key).filter(|(at, _)| at == name).map(|(_, place)| *place);
        if let Some(place) = waiting {
            self.end_wait(run, name, place, WaitEnd::Cancelled);
            self.hand_on(run, name);
        } else if let Ok(token) = self.find_hold(name, |hold| hold.key == key) {
            self.end_and_hand_on(run, name, token, EndReason::Cancelled);
        }
        Outcome::Cancelled
    }

    fn find_hold(&self, name: &Name, wanted: impl Fn(&Hold) -> bool) -> Result<Token, Refusal> {
        let Some(lock) = self.locks.get(name) else {
            let remembered = self.remembered.size(name).is_some();
            return Err(if remembered { Refusal::WrongKey } else { Refusal::NoSuchLock });
        };
        lock.holds.iter().find(|hold| wanted(hold)).map(|hold| hold.token).ok_or(Refusal::WrongKey)
    }

    fn end_and_hand_on(&mut self, run: &mut Run, name: &Name, token: Token, why: EndReason) -> Outcome {
        self.end_hold(run, name, token, why);
        Outcome::Released { waiter_granted: self.hand_on(run, name) }
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
        run.budget = run.budget.saturating_sub(1);
        self.index.remove_hold(hold);
        if let Some(session) = hold.owner.session() {
            self.discount_hold(session);
        }
        run.events.push(Event::HoldEnded { name: name.clone(), token: hold.token, why });
    }

    pub(super) fn end_wait(&mut self, run: &mut Run, name: &Name, place: Place, why: WaitEnd) {
        if let Some(waiter) = self.take_waiter(name, place) {
            run.budget = run.budget.saturating_sub(1);
            self.tell_wait_ended(run, &waiter, why);
        }
    }

    pub(super) fn tell_wait_ended(&mut self, run: &mut Run, waiter: &Waiter, why: WaitEnd) {
        if let Some(command) = waiter.answered_by() {
            run.events.push(Event::WaiterEnded { command, why });
        }
    }

    pub(super) fn take_waiter(&mut self, name: &Name, place: Place) -> Option<Waiter> {
        let waiter = self.locks.get_mut(name)?.queue.remove(&place)?;
        self.index.remove_waiter(place, &waiter);
        if let Some(session) = waiter.owner.session() {
            self.discount_waiter(session);
        }
        Some(waiter)
    }

    /// Drops a lock without holds and waiters; its size stays behind where a dialect's rules want that.
    pub(super) fn forget_unused(&mut self, name: &Name) {
        if !self.locks.get(name).is_some_and(|lock| lock.is_unused()) {
            return;
        }
        if let Some(Lock { size_to_remember: size @ 1.., .. }) = self.locks.remove(name) {
            let limits = &self.limits;
            let until = self.now.after_ms(limits.remembered_size_idle_ms);
            self.remembered.remember(name, size, until, limits.remembered_sizes_max);
        }
    }
}

impl Proof {
    fn opens(&self, hold: &Hold) -> bool {
        match self {
            Proof::Key(key) => hold.key == *key,
            Proof::TakenBy(dialect) => hold.dialect == *dialect,
            Proof::Label { label, token } => {
                matches!(&hold.owner, Owner::Label(owner) if owner == label)
                    && token.is_none_or(|token| token == hold.token)
            }
        }
    }
}
