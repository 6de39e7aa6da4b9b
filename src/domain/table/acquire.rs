//! Acquire: checks, then a grant at once or a place in the queue.

use super::{CommandResult, Effects, Table};
use crate::domain::command::Acquire;
use crate::domain::idempotency::IdempotencyResult;
use crate::domain::ids::{CommandId, Token};
use crate::domain::limits::Feature;
use crate::domain::locks::{Lock, Owner, Place, Waiter, WaiterState};
use crate::domain::outcome::Outcome;
use crate::domain::refusal::{HeldBy, Refusal};
use crate::domain::time::Timestamp;

impl Table {
    /// What has expired of the lock was removed just before, so everything in it counts.
    pub(super) fn acquire(&mut self, effects: &mut Effects, id: CommandId, mut acquire: Acquire) -> CommandResult {
        acquire.idempotency_key = acquire.idempotency_key.filter(|_| self.supports(Feature::Clusters));
        if let Some(outcome) = self.retry_acquire(effects, id, &acquire)? {
            return Ok(outcome);
        }
        self.check_grantable(&acquire)?;
        self.check_idempotency_keys(acquire.idempotency_key)?;
        if let Some(reentered) = self.reentered(&acquire) {
            return self.reenter(effects, id, &acquire, reentered);
        }
        match self.check_free(&acquire, self.header.now)? {
            true => Ok(self.take(effects, id, acquire)),
            false => self.wait(id, &acquire),
        }
    }

    /// Whether such a hold can exist at all.
    pub(super) fn check_grantable(&self, acquire: &Acquire) -> Result<(), Refusal> {
        self.header.limits.check_acquire(acquire)?;
        if self.header.next_token >= Token::END { Err(Refusal::TokensExhausted) } else { Ok(()) }
    }

    /// Whether it gets the lock at once (`true`) or has to wait.
    pub(super) fn check_free(&self, acquire: &Acquire, now: Timestamp) -> Result<bool, Refusal> {
        let lock = self.locks.get(&acquire.name);
        self.check_size(lock, acquire)?;
        let free = lock.is_none_or(|lock| lock.has_room(acquire.size) && lock.queue().lets_pass(acquire.priority));
        if !free && acquire.wait.is_none() {
            return Err(self.held(lock, now));
        }
        self.check_counts(acquire, free)?;
        self.check_usage(acquire.caller, acquire.usage(free))?;
        Ok(free)
    }

    /// LDLM's clients get an error when they disagree about the size, also about that of an idle lock.
    fn check_size(&self, lock: Option<&Lock>, acquire: &Acquire) -> Result<(), Refusal> {
        if !acquire.remembers_size {
            return Ok(());
        }
        let size = match lock {
            Some(lock) => Some(lock.size()),
            None => self.remembered_sizes.size(&acquire.name),
        };
        match size {
            Some(size) if size != acquire.size => Err(Refusal::SizeMismatch { size }),
            _ => Ok(()),
        }
    }

    fn check_counts(&self, acquire: &Acquire, free: bool) -> Result<(), Refusal> {
        let limits = &self.header.limits;
        if self.locks.hold_count() + self.locks.waiter_count() >= limits.holds_max {
            return Err(Refusal::HoldsFull { limit: limits.holds_max });
        }
        if let Some(session) = acquire.session.and_then(|id| self.sessions.get(id))
            && u64::from(session.holds) + u64::from(session.waiters) >= limits.holds_per_session_max
        {
            return Err(Refusal::SessionHoldsFull { limit: limits.holds_per_session_max });
        }
        let waiters = || self.locks.get(&acquire.name).map_or(0, |lock| lock.queue().len() as u64);
        if !free && waiters() >= limits.waiters_per_lock_max {
            return Err(Refusal::QueueFull { limit: limits.waiters_per_lock_max });
        }
        if free { Ok(()) } else { self.check_waiting_key(acquire, None) }
    }

    /// A waiter is found by its key, so no other may wait with the same one. Keys are random: this never happens.
    pub(super) fn check_waiting_key(&self, acquire: &Acquire, own: Option<Place>) -> Result<(), Refusal> {
        match self.locks.waiting(acquire.key) {
            Some((_, place)) if own != Some(*place) => Err(Refusal::Broken("two waiters with one key")),
            _ => Ok(()),
        }
    }

    /// As for a waiter that was granted the lock without waiting.
    fn take(&mut self, effects: &mut Effects, id: CommandId, acquire: Acquire) -> Outcome {
        let waiter = Waiter { state: WaiterState::Detached(id), ..self.waiter(id, &acquire) };
        let hold = self.hold_of(waiter);
        let grant = hold.to_grant();
        if let Some(key) = acquire.idempotency_key {
            let result = IdempotencyResult::Hold { name: acquire.name.clone(), token: grant.token };
            self.record_result(key, acquire.caller, result);
        }
        self.add_hold(effects, acquire.name, acquire.size, acquire.remembers_size, hold);
        Outcome::Acquired(grant)
    }

    fn held(&self, lock: Option<&Lock>, now: Timestamp) -> Refusal {
        let Some((lock, oldest)) = lock.and_then(|lock| Some((lock, lock.holds().first()?))) else {
            return Refusal::Broken("a queue without a hold");
        };
        Refusal::Held(Box::new(HeldBy {
            since: oldest.since.into(),
            deadline: lock.holds().iter().filter_map(|hold| self.end_of(hold, now)).min(),
            metadata: oldest.metadata.clone(),
            token: oldest.token,
            waiters: lock.queue().len() as u32,
        }))
    }
}

impl Acquire {
    pub(super) fn owner(&self) -> Owner {
        match (self.session, &self.label) {
            (Some(session), _) => Owner::Session(session),
            (None, Some(label)) => Owner::Label(label.clone()),
            (None, None) => Owner::Bearer,
        }
    }
}
