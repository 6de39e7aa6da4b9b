//! Release, forced release and cancel.

use super::{CommandResult, Effects, Table};
use crate::domain::command::{Force, Proof};
use crate::domain::ids::{HoldKey, Name, Token};
use crate::domain::locks::Hold;
use crate::domain::outcome::{EndReason, Outcome, Undone, WaitEnd};
use crate::domain::refusal::Refusal;
use crate::mutants::planted;
use std::collections::BTreeSet;

impl Table {
    /// By its owner, or by an operator.
    pub(super) fn release(
        &mut self,
        effects: &mut Effects,
        name: &Name,
        proof: &Proof,
        why: EndReason,
    ) -> CommandResult {
        let hold = self.find_hold(name, proof)?;
        if why == EndReason::Released {
            proof.check_names(name, hold)?;
        }
        let (token, names) = (hold.token, hold.names().iter().map(|(name, _)| name.clone()).collect());
        let vacancy = self.end_hold(effects, name, token, why);
        // Usually there are no waiters.
        let is_done = self.forget_unused(name) && vacancy.others.is_empty();
        let waiter_granted = !is_done && self.grant_waiters(effects, name, vacancy);
        Ok(Outcome::Released { waiter_granted, names })
    }

    pub(super) fn force_release(
        &mut self,
        effects: &mut Effects,
        name: &Name,
        key: HoldKey,
        force: Option<Box<Force>>,
    ) -> CommandResult {
        effects.force = force;
        let outcome = self.release(effects, name, &Proof::Key(key), EndReason::Forced);
        effects.force = None;
        outcome
    }

    /// Undoes an acquire by its key, whether it waits or was granted.
    pub(super) fn cancel(&mut self, effects: &mut Effects, name: &Name, key: HoldKey) -> Outcome {
        let place = self.place_of_key(name, key).filter(|_| !planted!("waiter-not-dropped"));
        let (undone, vacancy) = if let Some(place) = place {
            (Undone::Wait, self.lose_waiter(effects, name, place, WaitEnd::Dropped))
        } else if let Some(token) = self.granted_to(name, key) {
            (Undone::Hold(token), self.lose_hold(effects, name, token, EndReason::Cancelled))
        } else {
            return Outcome::Cancelled(Undone::Nothing);
        };
        self.grant_waiters(effects, name, vacancy);
        Outcome::Cancelled(undone)
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
}

impl Proof {
    fn matches(&self, hold: &Hold) -> bool {
        match self {
            Proof::Key(key) | Proof::OfNames { key, .. } => hold.key == *key,
            Proof::TakenBy(dialect) => hold.dialect == *dialect,
            Proof::Label { label, token } => {
                hold.owner.has_label(label) && token.is_none_or(|token| token == hold.token)
            }
        }
    }

    /// A hold of several names is renewed and released by all of them, or not at all.
    pub(super) fn check_names(&self, name: &Name, hold: &Hold) -> Result<(), Refusal> {
        let agree = match self {
            Proof::OfNames { names, .. } => {
                let (all, given): (BTreeSet<_>, BTreeSet<_>) = (hold.places(name).collect(), names.iter().collect());
                names.len() == all.len() && given == all
            }
            Proof::Key(_) | Proof::TakenBy(_) | Proof::Label { .. } => hold.names().is_empty(),
        };
        let all = || hold.names().iter().map(|(name, _)| name).collect::<BTreeSet<_>>().into_iter().cloned().collect();
        if agree { Ok(()) } else { Err(Refusal::OtherNames { names: all() }) }
    }

    /// Why it matches none of these holds.
    fn refusal(&self, holds: &[Hold]) -> Refusal {
        match self {
            Proof::Key(_) | Proof::OfNames { .. } | Proof::TakenBy(_) => Refusal::WrongKey,
            Proof::Label { label, .. } if holds.iter().any(|hold| hold.owner.has_label(label)) => {
                Refusal::TokenMismatch
            }
            Proof::Label { .. } => Refusal::NotOwner,
        }
    }
}
