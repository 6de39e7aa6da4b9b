//! Acquires in the reference model.

use super::{Claim, Hold, Owner, Reference, Waiter};
use latchd::domain::{
    Acquire, CommandId, Event, Field, Grant, HeldBy, HoldKey, Name, Outcome, Refusal, SHARED, Terms, Token, Wait,
    WaitEnd,
};

impl Claim {
    fn of(ask: &Acquire) -> Claim {
        let Terms { weight, lock_delay_ms, names, value } = ask.terms.as_deref().cloned().unwrap_or_default();
        let is_set = !names.is_empty();
        let places = if is_set { names } else { vec![(ask.name.clone(), ask.size)] };
        Claim { places, is_set, weight, delay_ms: lock_delay_ms, value }
    }
}

impl Reference {
    pub fn acquire(&mut self, id: CommandId, ask: &Acquire, actual: &Outcome) -> Result<Outcome, Refusal> {
        let idempotency_key = ask.idempotency_key.filter(|_| self.knows_requests());
        let priority = if self.has_modes() { ask.priority.min(i32::MAX - 2) } else { ask.priority };
        let ask = &Acquire { idempotency_key, priority, ..ask.clone() };
        if let Some(answer) = self.answer_again(id, ask, actual) {
            return answer;
        }
        self.check_limits(ask)?;
        if ask.lease_ms.is_none() && Claim::of(ask).value.is_some() {
            return Err(Refusal::NoElectionLease);
        }
        self.check_requests(ask.idempotency_key)?;
        if let Some(answer) = self.reenter(id, ask, actual) {
            return answer;
        }
        let asked = self.waiter(id, ask);
        let places = &asked.claim.places;
        places.iter().try_for_each(|(name, size)| self.check_size(name, *size, ask.remembers_size))?;
        let in_the_way = places.iter().find(|(name, size)| {
            let is_ahead = |waiter: &Waiter| !waiter.orphaned && waiter.priority >= ask.priority;
            self.waiters_of(name).any(is_ahead) || !self.fits(name, *size, asked.claim.weight)
        });
        let frozen = self.frozen_by(&asked.claim.names(), false);
        if let (Some(by), None) = (&frozen, ask.wait) {
            return Err(Refusal::Frozen(by.clone()));
        }
        if let (Some((name, _)), None) = (in_the_way, ask.wait) {
            return Err(self.held(name, false));
        }
        let is_free = in_the_way.is_none() && frozen.is_none();
        self.check_counts(&asked, is_free)?;
        let more = asked.claim.places.len() as u64;
        self.check_quota(ask.caller, [more, 0, if is_free { 0 } else { more }])?;
        self.check_prefixes(&asked.claim.names(), !is_free)?;
        if is_free {
            self.note_request(ask.idempotency_key);
            return Ok(Outcome::Acquired(self.add_hold(asked, given(actual), false)));
        }
        self.check_key(ask.key)?;
        self.check_deadlock(&asked, None, actual)?;
        self.note_request(ask.idempotency_key);
        self.enqueue(asked);
        Ok(in_queue(ask, self.ahead_of(ask.key)))
    }

    pub fn check_limits(&self, ask: &Acquire) -> Result<(), Refusal> {
        let limits = &self.limits;
        let within = |field, value: u64, limit| {
            if value <= limit { Ok(()) } else { Err(Refusal::LimitExceeded { field, limit }) }
        };
        self.check_name(&ask.name)?;
        self.check_one_size(ask.size)?;
        if ask.terms.is_some() {
            let claim = Claim::of(ask);
            self.check_weight(claim.weight, ask.size)?;
            within(Field::LockDelay, claim.delay_ms, limits.lock_delay_ms_max)?;
            if (claim.first(), claim.places[0].1) != (&ask.name, ask.size) {
                return Err(Refusal::Broken("names of which the first is another"));
            }
            within(Field::Names, if claim.is_set { claim.places.len() as u64 } else { 0 }, limits.names_max)?;
            within(Field::Value, claim.value.as_ref().map_or(0, |value| value.len()) as u64, limits.value_bytes_max)?;
            for (at, (name, size)) in claim.places.iter().enumerate() {
                self.check_name(name)?;
                self.check_one_size(*size)?;
                self.check_weight(claim.weight, *size)?;
                if claim.places[..at].iter().any(|(before, _)| before == name) {
                    return Err(Refusal::NameTwice);
                }
            }
        }
        within(Field::Lease, ask.lease_ms.unwrap_or(0), limits.lease_ms_max)?;
        within(Field::Wait, ask.wait.map_or(0, Wait::timeout_ms), limits.wait_ms_max)?;
        if ask.wait.is_some() && ask.lease_ms.is_none() && ask.session.is_none() {
            return Err(Refusal::UnboundedHold);
        }
        within(Field::MetadataEntries, ask.metadata.len() as u64, limits.metadata_entries_max)?;
        ask.metadata.iter().try_for_each(|(key, value)| {
            within(Field::MetadataKey, key.len() as u64, limits.metadata_key_bytes_max)?;
            within(Field::MetadataValue, value.len() as u64, limits.metadata_value_bytes_max)
        })
    }

    pub fn check_name(&self, name: &Name) -> Result<(), Refusal> {
        let limit = self.limits.name_bytes_max;
        if name.len() as u64 > limit {
            return Err(Refusal::LimitExceeded { field: Field::Name, limit });
        }
        if name.contains('\0') { Err(Refusal::NulInName) } else { Ok(()) }
    }

    fn check_one_size(&self, size: u32) -> Result<(), Refusal> {
        // Every table with limits of level 7 can be asked for more than one name.
        let may_be_shared = self.limits.names_max > 0;
        let limit = self.limits.size_max;
        match size {
            0 => Err(Refusal::ZeroSize),
            SHARED if may_be_shared => Ok(()),
            size if u64::from(size) > limit => Err(Refusal::LimitExceeded { field: Field::Size, limit }),
            _ => Ok(()),
        }
    }

    fn check_weight(&self, weight: u32, size: u32) -> Result<(), Refusal> {
        let most = if size == SHARED { 1 } else { size };
        if (1..=most).contains(&weight) { Ok(()) } else { Err(Refusal::WeightAboveSize { size }) }
    }

    /// LDLM's clients must agree on the size, also on that of an idle lock; other clients need not, unless they want to
    /// share what others count.
    fn check_size(&self, name: &Name, asked: u32, remembers_size: bool) -> Result<(), Refusal> {
        let idle = self.idle_sizes.iter().find(|(_, idle, _)| idle == name).map(|(.., size)| *size);
        let known = if self.is_known(name) { self.sizes.get(name).copied() } else { idle };
        let places = |size: u32| if size == SHARED { 1 } else { size };
        match known {
            Some(size) if (remembers_size || asked == SHARED) && places(size) != places(asked) => {
                Err(Refusal::SizeMismatch { size })
            }
            _ => Ok(()),
        }
    }

    fn check_counts(&self, asked: &Waiter, is_free: bool) -> Result<(), Refusal> {
        let (limits, more) = (&self.limits, asked.claim.places.len());
        let count = |of| {
            let (holds, waiters) = self.counts(of);
            (holds + waiters + more) as u64
        };
        if count(None) + self.delays_counted() > limits.holds_max {
            return Err(Refusal::HoldsFull { limit: limits.holds_max });
        }
        if asked.owner.session.is_some() && count(asked.owner.session) > limits.holds_per_session_max {
            return Err(Refusal::SessionHoldsFull { limit: limits.holds_per_session_max });
        }
        let limit = limits.waiters_per_lock_max;
        let is_full = |name: &Name| self.waiters_of(name).count() as u64 >= limit;
        if !is_free && asked.claim.names().iter().any(is_full) { Err(Refusal::QueueFull { limit }) } else { Ok(()) }
    }

    pub fn check_key(&self, key: HoldKey) -> Result<(), Refusal> {
        match self.waiters.iter().any(|waiter| waiter.key == key) {
            true => Err(Refusal::Broken("two waiters with one key")),
            false => Ok(()),
        }
    }

    /// A label that asks again goes on with its hold or its wait, where these are of one name.
    fn reenter(&mut self, id: CommandId, ask: &Acquire, actual: &Outcome) -> Option<Result<Outcome, Refusal>> {
        let claim = Claim::of(ask);
        let label = ask.label.clone().filter(|_| ask.reentrant && ask.session.is_none() && !claim.is_set)?;
        let owner = Owner { session: None, label: Some(label) };
        let is_own = |own: &Owner, of: &Claim| *own == owner && !of.is_set && *of.first() == ask.name;
        if let Some(at) = self.holds.iter().position(|hold| is_own(&hold.owner, &hold.claim)) {
            let held = &self.holds[at].claim;
            let size = self.sizes.get(&ask.name).copied().unwrap_or(0);
            if size == SHARED && ask.size != SHARED {
                return Some(Err(Refusal::SizeMismatch { size }));
            }
            if held.weight < claim.weight || held.value.is_some() != claim.value.is_some() {
                return Some(Err(Refusal::NotConvertible));
            }
            return Some(Ok(Outcome::Acquired(self.extend(at, ask, given(actual)))));
        }
        let line = self.line();
        let own = line.into_iter().find(|waiter| ask.wait.is_some() && is_own(&waiter.owner, &waiter.claim))?;
        let (key, anew) = (own.key, self.waiter(id, ask));
        let at = self.waiters.iter().position(|waiter| waiter.key == key)?;
        Some(self.check_deadlock(&anew, Some(at), actual).and_then(|()| self.wait_anew(at, anew, ask)))
    }

    /// The label's own hold: kept, never shortened, with a new token. It is not waited for any more to become exclusive.
    fn extend(&mut self, at: usize, ask: &Acquire, given: Token) -> Grant {
        let until = self.lease_end(ask.lease_ms);
        // Since level 2, no lost attempt ends a hold that an earlier answer told of.
        let forgets_attempts = self.knows_requests();
        let hold = &mut self.holds[at];
        let replaces = std::mem::replace(&mut hold.token, given);
        hold.attempt = if forgets_attempts { None } else { Some(hold.key) };
        (hold.unconfirmed, hold.orphaned, hold.lease_ms) = (None, false, ask.lease_ms);
        hold.request = ask.idempotency_key.map(|request| request.id);
        hold.deadline = hold.deadline.zip(until).map(|(old, new)| old.max(new));
        if !ask.metadata.is_empty() {
            hold.metadata = ask.metadata.clone();
        }
        let Hold { key, since, deadline, owner, dialect, claim, .. } = hold.clone();
        self.last_token = self.last_token.max(given.0);
        self.expect(Event::Granted {
            name: ask.name.clone(),
            token: given,
            replaces: Some(replaces),
            session: owner.session,
            dialect,
            size: self.sizes.get(&ask.name).copied().unwrap_or(1),
            weight: claim.weight,
            value: claim.value,
        });
        self.note_request(ask.idempotency_key);
        self.end_upgrade(replaces);
        self.grant(vec![ask.name.clone()]);
        Grant { key, token: given, since, deadline }
    }

    /// A place in the queue, kept for the new request.
    pub fn wait_anew(&mut self, at: usize, anew: Waiter, ask: &Acquire) -> Result<Outcome, Refusal> {
        if self.waiters[at].key != ask.key {
            self.check_key(ask.key)?;
        }
        let anew = Waiter { since: self.waiters[at].since, caller: self.waiters[at].caller, ..anew };
        let old = std::mem::replace(&mut self.waiters[at], anew);
        self.after_wait(&old.owner);
        self.tell_wait_ended(&old, WaitEnd::Cancelled);
        old.request.into_iter().for_each(|request| _ = self.requests.remove(&request));
        self.note_request(ask.idempotency_key);
        let position = self.ahead_of(ask.key);
        self.grant(old.claim.names());
        Ok(in_queue(ask, position))
    }

    pub fn waiter(&self, command: CommandId, ask: &Acquire) -> Waiter {
        let wait = ask.wait.unwrap_or(Wait::Detached { timeout_ms: 0 });
        let label = if ask.session.is_none() { ask.label.clone() } else { None };
        Waiter {
            claim: Claim::of(ask),
            upgrades: None,
            key: ask.key,
            command,
            since: self.now,
            wait,
            deadline: self.now.after_ms(wait.timeout_ms()),
            owner: Owner { session: ask.session, label },
            priority: ask.priority,
            remembers_size: ask.remembers_size,
            lease_ms: ask.lease_ms,
            metadata: ask.metadata.clone(),
            dialect: ask.dialect,
            request: ask.idempotency_key.map(|request| request.id),
            orphaned: false,
            caller: self.recorded(ask.caller),
        }
    }

    /// Without a hold, or if it is the caller's own, a delay or the first waiter is in the way.
    pub fn held(&self, name: &Name, is_own: bool) -> Refusal {
        let waiters = self.waiters_of(name).count() as u32;
        let others = || self.holds_of(name).filter(|_| !is_own);
        let line = self.line();
        let first = line.into_iter().find(|waiter| waiter.claim.has(name) && !waiter.orphaned);
        Refusal::Held(Box::new(match others().next() {
            Some(oldest) => HeldBy {
                since: oldest.since,
                deadline: others().filter_map(|hold| self.end_of(hold)).min(),
                metadata: oldest.metadata.clone(),
                token: oldest.token,
                waiters,
            },
            None => HeldBy {
                since: first.map_or(self.now, |waiter| waiter.since),
                deadline: self.delays.get(name).map(|(until, _)| *until),
                metadata: first.map(|waiter| waiter.metadata.clone()).unwrap_or_default(),
                token: self.delays.get(name).map_or(Token(0), |(_, token)| *token),
                waiters,
            },
        }))
    }
}

/// The token that the table issued, if it granted.
pub fn given(actual: &Outcome) -> Token {
    match actual {
        Outcome::Acquired(grant) | Outcome::Changed(grant) => grant.token,
        _ => Token(0),
    }
}

/// Only a waiting request gets an event later.
fn in_queue(ask: &Acquire, position: u32) -> Outcome {
    match ask.wait {
        Some(Wait::Detached { .. }) => Outcome::Enqueued { position },
        Some(Wait::Attached { .. } | Wait::Guarded { .. }) | None => Outcome::Waiting { position },
    }
}
