//! Downgrade and upgrade: an exclusive hold becomes shared, or a shared one exclusive. The key stays, the token is new.

use super::acquire::free_but_not_yet;
use super::{CommandResult, Effects, Table, Vacancy};
use crate::domain::command::{Proof, Upgrade, Wait};
use crate::domain::idempotency::IdempotencyResult;
use crate::domain::ids::{CommandId, HoldKey, Name, Token};
use crate::domain::limits::check_max;
use crate::domain::locks::{Hold, Place, Waiter, WaiterState};
use crate::domain::outcome::{Event, Outcome, WaitEnd, WaitStep};
use crate::domain::refusal::{Field, Refusal};
use crate::domain::terms::SHARED;
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;
use crate::mutants::planted;

const VANISHED: Refusal = Refusal::Broken("a hold vanished while it changed its mode");

/// What an upgrade comes to.
pub(super) enum UpgradePlan {
    /// The hold is exclusive already: the answer to an earlier request may be lost.
    Done,
    AtOnce,
    /// Instead of an earlier wait of the same hold, if there is one.
    Wait(Option<Place>),
}

impl Table {
    /// Never waits, and lets the readers in that are first in the queue. A shared hold stays as it is.
    pub(super) fn downgrade(&mut self, effects: &mut Effects, name: &Name, key: HoldKey) -> CommandResult {
        let hold = self.find_convertible(name, key)?;
        let token = hold.token;
        let token = if self.size_of(name) == SHARED { token } else { self.convert(effects, name, token, SHARED)? };
        let outcome = self.changed(name, token);
        self.grant_waiters(effects, name, Vacancy::default());
        outcome
    }

    /// Waits before all that wait already, because they wait for this hold too.
    pub(super) fn upgrade(&mut self, effects: &mut Effects, id: CommandId, upgrade: &Upgrade) -> CommandResult {
        let plan = self.plan_upgrade(upgrade, self.header.now)?;
        let hold = self.find_convertible(&upgrade.name, upgrade.key)?;
        let (token, owner, dialect) = (hold.token, hold.owner.clone(), hold.dialect);
        match plan {
            UpgradePlan::Done => self.changed(&upgrade.name, token),
            UpgradePlan::AtOnce => {
                let token = self.convert(effects, &upgrade.name, token, 1)?;
                self.changed(&upgrade.name, token)
            }
            UpgradePlan::Wait(earlier) => {
                let place = earlier.unwrap_or_else(|| self.next_place(i32::MAX));
                self.check_deadlock_of_upgrade(effects, upgrade, &owner, token, place)?;
                self.client_knows(&upgrade.name, token);
                if let Some(place) = earlier {
                    self.end_wait(effects, &upgrade.name, place, WaitEnd::Cancelled).without_waiters();
                }
                self.header.next_waiter += u64::from(earlier.is_none());
                let timeout_ms = upgrade.wait.map_or(1, Wait::timeout_ms);
                let waiter = Waiter {
                    state: WaiterState::Attached(id),
                    key: upgrade.attempt,
                    since: self.header.now,
                    timeout_ms,
                    deadline: self.header.now.after_ms(timeout_ms),
                    owner,
                    size: 1,
                    remembers_size: false,
                    lease_ms: None,
                    metadata: Default::default(),
                    dialect,
                    idempotency_id: None,
                    caller: upgrade.caller,
                    terms: None,
                    upgrades: Some(token),
                };
                effects.note_wait(&upgrade.name, &waiter, WaitStep::Begun);
                self.add_waiter(&upgrade.name, place, waiter);
                Ok(Outcome::Waiting { position: 0 })
            }
        }
    }

    pub(super) fn plan_upgrade(&self, upgrade: &Upgrade, now: Timestamp) -> Result<UpgradePlan, Refusal> {
        let limits = &self.header.limits;
        check_max(Field::Wait, upgrade.wait.map_or(0, Wait::timeout_ms), limits.wait_ms_max)?;
        let hold = self.find_convertible(&upgrade.name, upgrade.key)?;
        let lock = self.locks.get(&upgrade.name).ok_or(VANISHED)?;
        if lock.size() == 1 {
            return Ok(UpgradePlan::Done);
        }
        let pending = lock.queue().upgrade();
        let is_own = |waiter: &Waiter| waiter.upgrades == Some(hold.token);
        if pending.is_some_and(|(_, waiter)| !is_own(waiter)) && !planted!("second-upgrade-waits") {
            return Err(Refusal::UpgradePending);
        }
        let frozen = self.frozen_by(std::iter::once(&upgrade.name), now);
        if lock.may_upgrade(hold.token) && frozen.is_none() {
            return Ok(UpgradePlan::AtOnce);
        }
        if let Some(frozen) = frozen.filter(|_| upgrade.wait.is_none()) {
            return Err(Refusal::Frozen(frozen));
        }
        if upgrade.wait.is_none() {
            let is_delayed = lock.is_only(hold.token);
            return Err(if is_delayed { free_but_not_yet(lock, now) } else { self.held(lock, now) });
        }
        let earlier = pending.map(|(place, _)| *place);
        if earlier.is_none() {
            self.check_upgrade_counts(upgrade, hold, lock.queue().len() as u64)?;
        }
        let is_taken = |(_, place): &(Name, Place)| Some(*place) != earlier;
        if self.locks.waiting(upgrade.attempt).is_some_and(is_taken) {
            return Err(Refusal::Broken("two waiters with one key"));
        }
        Ok(UpgradePlan::Wait(earlier))
    }

    fn check_upgrade_counts(&self, upgrade: &Upgrade, hold: &Hold, waiters: u64) -> Result<(), Refusal> {
        let limits = &self.header.limits;
        if waiters >= limits.waiters_per_lock_max {
            return Err(Refusal::QueueFull { limit: limits.waiters_per_lock_max });
        }
        if self.holds_counted() >= limits.holds_max {
            return Err(Refusal::HoldsFull { limit: limits.holds_max });
        }
        if let Some(session) = hold.owner.session().and_then(|id| self.sessions.get(id))
            && u64::from(session.holds) + u64::from(session.waiters) >= limits.holds_per_session_max
        {
            return Err(Refusal::SessionHoldsFull { limit: limits.holds_per_session_max });
        }
        let label = hold.owner.label().map(|label| &**label);
        self.check_usage(upgrade.caller, Usage::of_waiter(&upgrade.name, label, &Default::default()))?;
        self.check_prefixes(std::iter::once(&upgrade.name), true)
    }

    pub(super) fn grant_upgrade(&mut self, effects: &mut Effects, name: &Name, waiter: &Waiter, token: Token) {
        let Ok(token) = self.convert(effects, name, token, 1) else { return };
        effects.note_wait(name, waiter, WaitStep::Granted(token));
        let grant = self.locks.hold(name, token).map(Hold::to_grant);
        if let (Some(command), Some(grant)) = (waiter.answered_by(), grant) {
            effects.events.push(Event::WaiterGranted { command, name: name.clone(), grant, unconfirmed: false });
        }
    }

    /// The hold with this key, if it can be shared or exclusive: one of one name, not counted, not that of an election.
    pub(super) fn find_convertible(&self, name: &Name, key: HoldKey) -> Result<&Hold, Refusal> {
        let hold = self.find_hold(name, &Proof::Key(key))?;
        let is_counted = self.locks.get(name).is_some_and(|lock| lock.is_counted());
        let is_convertible = !is_counted && hold.names().is_empty() && hold.value().is_none();
        if is_convertible { Ok(hold) } else { Err(Refusal::NotConvertible) }
    }

    fn size_of(&self, name: &Name) -> u32 {
        self.locks.get(name).map_or(1, |lock| lock.size())
    }

    /// The answer to who has shown the key.
    fn changed(&mut self, name: &Name, token: Token) -> CommandResult {
        self.client_knows(name, token);
        self.locks.hold(name, token).map(|hold| Outcome::Changed(hold.to_grant())).ok_or(VANISHED)
    }

    /// Gives the lock another size, and its hold a new token.
    fn convert(&mut self, effects: &mut Effects, name: &Name, token: Token, size: u32) -> Result<Token, Refusal> {
        if self.header.next_token >= Token::END {
            return Err(Refusal::TokensExhausted);
        }
        let new_token = self.issue_token();
        self.locks.convert(name, size);
        let hold = self.locks.change_hold(name, token, |hold| hold.token = new_token).ok_or(VANISHED)?;
        effects.granted(name.clone(), hold, size, Some(token));
        if let Some(id) = hold.idempotency_id() {
            self.keep_result(id, IdempotencyResult::Hold { name: name.clone(), token: new_token });
        }
        Ok(new_token)
    }
}
