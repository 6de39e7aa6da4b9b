//! Acquire: checks, then a grant at once or a place in the queue.

use super::{CommandResult, Effects, Table};
use crate::domain::command::Acquire;
use crate::domain::idempotency::IdempotencyResult;
use crate::domain::ids::{CommandId, Name, Token};
use crate::domain::limits::Feature;
use crate::domain::locks::{Lock, Owner, Place, Waiter, WaiterState};
use crate::domain::outcome::Outcome;
use crate::domain::refusal::{HeldBy, Refusal};
use crate::domain::terms::{SHARED, sizes_agree};
use crate::domain::time::Timestamp;
use crate::mutants::planted;

/// The highest priority that an acquire can have: requests that a dead node lost are above it, and upgrades above all.
const PRIORITY_MAX: i32 = i32::MAX - 2;

impl Table {
    /// What has expired of the lock was removed just before, so everything in it counts.
    pub(super) fn acquire(&mut self, effects: &mut Effects, id: CommandId, mut acquire: Acquire) -> CommandResult {
        acquire.idempotency_key = acquire.idempotency_key.filter(|_| self.supports(Feature::Clusters));
        if self.supports(Feature::Modes) {
            acquire.priority = acquire.priority.min(PRIORITY_MAX);
        }
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
            false => {
                self.check_deadlock(effects, &acquire, self.next_place(acquire.priority))?;
                self.wait(effects, id, &acquire)
            }
        }
    }

    /// Whether such a hold can exist at all.
    pub(super) fn check_grantable(&self, acquire: &Acquire) -> Result<(), Refusal> {
        self.header.limits.check_acquire_with(acquire, acquire.terms.as_deref())?;
        let is_election = acquire.terms.as_ref().is_some_and(|terms| terms.value.is_some());
        if is_election && acquire.lease_ms.is_none() {
            return Err(Refusal::NoElectionLease);
        }
        if self.header.next_token >= Token::END { Err(Refusal::TokensExhausted) } else { Ok(()) }
    }

    /// Whether it gets the lock at once (`true`) or has to wait.
    pub(super) fn check_free(&self, acquire: &Acquire, now: Timestamp) -> Result<bool, Refusal> {
        let weight = acquire.weight();
        let mut in_the_way = None;
        for (name, size) in acquire.places() {
            let lock = self.locks.get(name);
            self.check_size(lock, name, size, acquire.remembers_size)?;
            let overtakes = size == SHARED && planted!("reader-overtakes-writer");
            let is_next = |lock: &Lock| lock.queue().lets_pass(acquire.priority) || overtakes;
            let free = |lock: &Lock| lock.has_room(size, weight) && is_next(lock);
            in_the_way = in_the_way.or(lock.filter(|lock| !free(lock)));
        }
        let frozen = self.frozen_by(acquire.places().map(|(name, _)| name), now);
        let free = in_the_way.is_none() && frozen.is_none();
        if let Some(frozen) = frozen.filter(|_| acquire.wait.is_none()) {
            return Err(Refusal::Frozen(frozen));
        }
        if let Some(lock) = in_the_way.filter(|_| acquire.wait.is_none()) {
            return Err(self.held(lock, now));
        }
        self.check_counts(acquire, free)?;
        self.check_usage(acquire.caller, acquire.usage(free))?;
        self.check_prefixes(acquire.places().map(|(name, _)| name), !free)?;
        Ok(free)
    }

    /// LDLM's clients get an error when they disagree about the size, also about that of an idle lock.
    fn check_size(&self, lock: Option<&Lock>, name: &Name, size: u32, remembers_size: bool) -> Result<(), Refusal> {
        if !remembers_size && size != SHARED {
            return Ok(());
        }
        let known = match lock {
            Some(lock) => Some(lock.size()),
            None => self.remembered_sizes.size(name),
        };
        match known {
            Some(known) if !sizes_agree(known, size) => Err(Refusal::SizeMismatch { size: known }),
            _ => Ok(()),
        }
    }

    /// What `holds_max` limits.
    pub(super) fn holds_counted(&self) -> u64 {
        let delayed = if self.supports(Feature::ModeBounds) { self.locks.delay_count() } else { 0 };
        self.locks.hold_count() + self.locks.waiter_count() + delayed
    }

    fn check_counts(&self, acquire: &Acquire, free: bool) -> Result<(), Refusal> {
        let limits = &self.header.limits;
        let more = acquire.places().count() as u64;
        if self.holds_counted() + more > limits.holds_max {
            return Err(Refusal::HoldsFull { limit: limits.holds_max });
        }
        if let Some(session) = acquire.session.and_then(|id| self.sessions.get(id))
            && u64::from(session.holds) + u64::from(session.waiters) + more > limits.holds_per_session_max
        {
            return Err(Refusal::SessionHoldsFull { limit: limits.holds_per_session_max });
        }
        let waiters = |name: &Name| self.locks.get(name).map_or(0, |lock| lock.queue().len() as u64);
        if !free && acquire.places().any(|(name, _)| waiters(name) >= limits.waiters_per_lock_max) {
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

    pub(super) fn held(&self, lock: &Lock, now: Timestamp) -> Refusal {
        let Some(oldest) = lock.holds().first() else { return free_but_not_yet(lock, now) };
        Refusal::Held(Box::new(HeldBy {
            since: oldest.since.into(),
            deadline: lock.holds().iter().filter_map(|hold| self.end_of(hold, now)).min(),
            metadata: oldest.metadata.clone(),
            token: oldest.token,
            waiters: lock.queue().len() as u32,
        }))
    }
}

/// Why a lock without another hold is not granted: its last hold's end delays that, or a waiter for several names is first.
pub(super) fn free_but_not_yet(lock: &Lock, now: Timestamp) -> Refusal {
    let first = lock.queue().first().map(|(_, waiter)| waiter);
    Refusal::Held(Box::new(HeldBy {
        since: first.map_or(now, |waiter| waiter.since),
        deadline: lock.delay().map(|delay| delay.until),
        metadata: first.map(|waiter| waiter.metadata.clone()).unwrap_or_default(),
        token: lock.delay().map_or(Token(0), |delay| delay.token),
        waiters: lock.queue().len() as u32,
    }))
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
