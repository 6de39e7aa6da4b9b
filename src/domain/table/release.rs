//! Release, forced release, renew and cancel, and what else happens when a hold ends.

use super::{Effects, Table, Vacancy};
use crate::domain::command::Proof;
use crate::domain::ids::{HoldKey, Name, Token};
use crate::domain::locks::Hold;
use crate::domain::outcome::{EndReason, Event, Outcome, WaitEnd};
use crate::domain::refusal::Refusal;
use crate::domain::time::Deadline;
use crate::mutants::planted;

impl Table {
    /// By its owner, or by an operator.
    pub(super) fn release(&mut self, effects: &mut Effects, name: &Name, proof: &Proof, why: EndReason) -> Outcome {
        let token = match self.find_hold(name, proof) {
            Ok(hold) => hold.token,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        let vacancy = self.end_hold(effects, name, token, why);
        // Usually there are no waiters.
        let waiter_granted = !self.forget_unused(name) && self.grant_waiters(effects, name, vacancy);
        Outcome::Released { waiter_granted }
    }

    /// Undoes an acquire by its key, whether it waits or was granted.
    pub(super) fn cancel(&mut self, effects: &mut Effects, name: &Name, key: HoldKey) -> Outcome {
        let vacancy = if let Some(place) = self.place_of_key(name, key).filter(|_| !planted!("waiter-not-dropped")) {
            self.lose_waiter(effects, name, place, WaitEnd::Cancelled)
        } else if let Some(token) = self.granted_to(name, key) {
            self.lose_hold(effects, name, token, EndReason::Cancelled)
        } else {
            return Outcome::Cancelled;
        };
        self.grant_waiters(effects, name, vacancy);
        Outcome::Cancelled
    }

    fn granted_to(&self, name: &Name, attempt: HoldKey) -> Option<Token> {
        let mut holds = self.locks.get(name)?.holds().iter();
        holds.find(|hold| hold.depends_on(attempt)).map(|hold| hold.token)
    }

    pub(super) fn find_hold(&self, name: &Name, proof: &Proof) -> Result<&Hold, Refusal> {
        let lock = self.locks.get(name);
        if lock.is_none() && self.remembered_sizes.size(name).is_none() {
            return Err(Refusal::NoSuchLock);
        }
        let holds = lock.map_or(&[][..], |lock| lock.holds());
        holds.iter().find(|hold| proof.matches(hold)).ok_or_else(|| proof.refusal(holds))
    }

    pub(super) fn end_hold(&mut self, effects: &mut Effects, name: &Name, token: Token, why: EndReason) -> Vacancy {
        if let Some(hold) = self.locks.remove_hold(name, token) {
            self.hold_ended(effects, name, &hold, why);
        }
        Vacancy
    }

    /// After a hold was removed from its lock.
    pub(super) fn hold_ended(&mut self, effects: &mut Effects, name: &Name, hold: &Hold, why: EndReason) {
        if let Some(id) = hold.idempotency_id() {
            self.idempotency_keys.end(id, &mut self.usages);
        }
        self.hold_removed(effects, name, hold, why);
    }

    /// The same, when its request is given something else instead.
    pub(super) fn hold_removed(&mut self, effects: &mut Effects, name: &Name, hold: &Hold, why: EndReason) {
        effects.budget = effects.budget.saturating_sub(1);
        self.usages.remove(hold.caller, hold.usage(name));
        if let Some(session) = hold.owner.session() {
            self.sessions.remove_hold(session);
        }
        let (token, session, dialect) = (hold.token, hold.owner.session(), hold.dialect);
        let (since, deadline) = (hold.since.into(), hold.deadline.moment());
        effects.events.push(Event::HoldEnded { name: name.clone(), token, why, session, dialect, since, deadline });
    }
}

impl Proof {
    fn matches(&self, hold: &Hold) -> bool {
        match self {
            Proof::Key(key) => hold.key == *key,
            Proof::TakenBy(dialect) => hold.dialect == *dialect,
            Proof::Label { label, token } => {
                hold.owner.has_label(label) && token.is_none_or(|token| token == hold.token)
            }
        }
    }

    /// Why it matches none of these holds.
    fn refusal(&self, holds: &[Hold]) -> Refusal {
        match self {
            Proof::Key(_) | Proof::TakenBy(_) => Refusal::WrongKey,
            Proof::Label { label, .. } if holds.iter().any(|hold| hold.owner.has_label(label)) => {
                Refusal::TokenMismatch
            }
            Proof::Label { .. } => Refusal::NotOwner,
        }
    }
}

impl Table {
    /// The new lease may be shorter than what was left.
    pub(super) fn renew(&mut self, name: &Name, proof: &Proof, lease_ms: u64) -> Outcome {
        if let Err(refusal) = self.header.limits.check_lease(Some(lease_ms)) {
            return Outcome::Refused(refusal);
        }
        let hold = match self.find_hold(name, proof) {
            Ok(hold) => hold,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        let token = hold.token;
        if let Some(tracked) = hold.tracked() {
            // With an idempotency key several attempts may have been answered, and at least one was.
            let attempt = tracked.attempt.filter(|_| tracked.idempotency_id.is_none());
            self.confirm_hold(name, token, attempt);
        }
        let deadline = Deadline::at(self.header.now.after_ms(lease_ms.max(1)));
        let mut has_lease = false;
        let renewed = self.locks.change_hold(name, token, |hold| {
            has_lease = hold.deadline != Deadline::NEVER;
            if has_lease {
                hold.deadline = deadline;
            }
        });
        match renewed {
            Some(hold) if has_lease => Outcome::Renewed(hold.to_grant()),
            Some(_) => Outcome::Refused(Refusal::NoLease),
            None => Outcome::Refused(Refusal::WrongKey),
        }
    }
}
