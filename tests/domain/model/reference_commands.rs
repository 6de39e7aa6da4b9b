//! What each command does to the reference model.

use super::reference::{Hold, Owner, Reference, Session, Waiter};
use super::reference_requests::Made;
use latchd::domain::{
    Acquire, Command, CommandId, EndReason, Field, Grant, HeldBy, HoldKey, IdempotencyKey, Name, Outcome, Proof,
    Refusal, SessionId, Submitted, Token, Wait, WaitEnd,
};

impl Reference {
    /// The expected outcome; `given` is the token that the table issued, if it granted.
    pub fn run(&mut self, submitted: &Submitted, given: Token) -> Outcome {
        let Submitted { id, command } = submitted;
        match self.nodes.values_mut().find(|node| node.run == id.incarnation) {
            None => return Outcome::Refused(Refusal::UnknownIncarnation),
            Some(node) if id.sequence <= node.last_sequence => return Outcome::Duplicate,
            Some(node) => {
                node.last_sequence = id.sequence;
                if !node.up {
                    return Outcome::Refused(Refusal::UnknownIncarnation);
                }
            }
        }
        if command.session().is_some_and(|session| !self.is_live(session)) {
            return Outcome::Refused(Refusal::SessionUnknown);
        }
        if let Some(name) = command.name() {
            self.expire_lock(name);
        }
        let outcome = match command {
            Command::OpenSession { session, idle_timeout_ms, idempotency_key: request, .. } => {
                self.open_session(*session, *idle_timeout_ms, request.filter(|_| self.knows_requests()))
            }
            Command::CloseSession { session } if !self.is_live(*session) => Err(Refusal::SessionUnknown),
            Command::CloseSession { session } => {
                self.end_session(*session, false);
                Ok(Outcome::SessionClosed)
            }
            Command::Acquire(acquire) => self.acquire(*id, acquire, given),
            Command::Release { name, proof, .. } => self.end_one(name, EndReason::Released, proof),
            Command::ForceRelease { name, key } => self.end_one(name, EndReason::Forced, &Proof::Key(*key)),
            Command::Renew { name, proof, lease_ms, .. } => self.renew(name, proof, *lease_ms),
            Command::Cancel { name, key } => Ok(self.cancel(name, *key)),
            Command::ConfirmDelivery { name, key } => self.confirm_delivery(name, *key),
            Command::CancelWait { name, label } => self.cancel_wait(name, label),
            command => self.command_of_leader(command),
        };
        outcome.unwrap_or_else(Outcome::Refused)
    }

    fn open_session(
        &mut self,
        id: SessionId,
        idle_timeout_ms: u64,
        request: Option<IdempotencyKey>,
    ) -> Result<Outcome, Refusal> {
        if let Some(made) = request.and_then(|request| self.recall(request)) {
            let Made::Session(session) = made? else { return Err(Refusal::RequestReused) };
            self.sessions.entry(session).and_modify(|session| session.seen = self.now);
            return Ok(Outcome::SessionOpened { session });
        }
        if self.sessions.contains_key(&id) {
            return Err(Refusal::SessionExists);
        }
        if self.sessions.len() as u64 >= self.limits.sessions_max {
            return Err(Refusal::SessionsFull { limit: self.limits.sessions_max });
        }
        self.check_requests(request)?;
        self.note_request(request);
        let request = request.map(|request| request.id);
        self.sessions.insert(id, Session { idle_timeout_ms, seen: self.now, ended: false, request });
        Ok(Outcome::SessionOpened { session: id })
    }

    fn acquire(&mut self, id: CommandId, ask: &Acquire, given: Token) -> Result<Outcome, Refusal> {
        let request = ask.idempotency_key.filter(|_| self.knows_requests());
        let ask = &Acquire { idempotency_key: request, ..ask.clone() };
        if let Some(answer) = self.answer_again(id, ask) {
            return answer;
        }
        self.check_limits(ask)?;
        self.check_requests(ask.idempotency_key)?;
        let own_label = ask.label.as_deref().filter(|_| ask.reentrant && ask.session.is_none());
        if let Some(label) = own_label {
            let is_own = |owner: &Owner| owner.session.is_none() && owner.label.as_deref() == Some(label);
            if let Some(at) = self.holds.iter().position(|hold| hold.name == ask.name && is_own(&hold.owner)) {
                return Ok(Outcome::Acquired(self.reenter(at, ask, given)));
            }
            let queued = self.waiters.iter().position(|waiter| waiter.name == ask.name && is_own(&waiter.owner));
            if let (Some(at), Some(_)) = (queued, ask.wait) {
                return self.wait_anew(at, id, ask);
            }
        }
        self.check_size(ask)?;
        let queue = self.waiters_of(&ask.name).count();
        let is_ahead = |waiter: &Waiter| !waiter.orphaned && waiter.priority >= ask.priority;
        let others_first = self.waiters_of(&ask.name).any(is_ahead);
        let free = !others_first && self.fits(&ask.name, ask.size);
        if !free && ask.wait.is_none() {
            return Err(self.held(&ask.name));
        }
        self.check_counts(ask, free, queue)?;
        let asked = self.waiter(id, ask);
        if free {
            self.note_request(ask.idempotency_key);
            return Ok(Outcome::Acquired(self.add_hold(asked, given, false)));
        }
        self.check_key(ask.key)?;
        self.note_request(ask.idempotency_key);
        self.waiters.push(asked);
        Ok(in_queue(ask, self.ahead_of(ask.key)))
    }

    pub fn check_limits(&self, ask: &Acquire) -> Result<(), Refusal> {
        let limits = &self.limits;
        let over = |field, limit| Err(Refusal::LimitExceeded { field, limit });
        if ask.name.len() as u64 > limits.name_bytes_max {
            return over(Field::Name, limits.name_bytes_max);
        }
        if ask.name.contains('\0') {
            return Err(Refusal::NulInName);
        }
        if u64::from(ask.size) > limits.size_max {
            return over(Field::Size, limits.size_max);
        }
        if ask.size == 0 {
            return Err(Refusal::ZeroSize);
        }
        if ask.lease_ms.is_some_and(|lease_ms| lease_ms > limits.lease_ms_max) {
            return over(Field::Lease, limits.lease_ms_max);
        }
        if ask.wait.is_some_and(|wait| wait.timeout_ms() > limits.wait_ms_max) {
            return over(Field::Wait, limits.wait_ms_max);
        }
        if ask.wait.is_some() && ask.lease_ms.is_none() && ask.session.is_none() {
            return Err(Refusal::UnboundedHold);
        }
        if ask.metadata.len() as u64 > limits.metadata_entries_max {
            return over(Field::MetadataEntries, limits.metadata_entries_max);
        }
        for (key, value) in ask.metadata.iter() {
            if key.len() as u64 > limits.metadata_key_bytes_max {
                return over(Field::MetadataKey, limits.metadata_key_bytes_max);
            }
            if value.len() as u64 > limits.metadata_value_bytes_max {
                return over(Field::MetadataValue, limits.metadata_value_bytes_max);
            }
        }
        Ok(())
    }

    /// LDLM's clients must agree on the size, also on that of an idle lock; other clients need not.
    fn check_size(&self, ask: &Acquire) -> Result<(), Refusal> {
        let idle = self.idle_sizes.iter().find(|(_, name, _)| *name == ask.name).map(|(.., size)| *size);
        let size = if self.is_in_use(&ask.name) { self.sizes.get(&ask.name).copied() } else { idle };
        match size {
            Some(size) if ask.remembers_size && size != ask.size => Err(Refusal::SizeMismatch { size }),
            _ => Ok(()),
        }
    }

    fn check_counts(&self, ask: &Acquire, free: bool, queue: usize) -> Result<(), Refusal> {
        let limits = &self.limits;
        if (self.holds.len() + self.waiters.len()) as u64 >= limits.holds_max {
            return Err(Refusal::HoldsFull { limit: limits.holds_max });
        }
        if let Some(id) = ask.session {
            let holds = self.holds.iter().filter(|hold| hold.owner.session == Some(id)).count();
            if (holds + self.waits_of(id)) as u64 >= limits.holds_per_session_max {
                return Err(Refusal::SessionHoldsFull { limit: limits.holds_per_session_max });
            }
        }
        if !free && queue as u64 >= limits.waiters_per_lock_max {
            return Err(Refusal::QueueFull { limit: limits.waiters_per_lock_max });
        }
        Ok(())
    }

    fn check_key(&self, key: HoldKey) -> Result<(), Refusal> {
        match self.waiters.iter().any(|waiter| waiter.key == key) {
            true => Err(Refusal::Broken("two waiters with one key")),
            false => Ok(()),
        }
    }

    /// The label's own hold: kept, never shortened, with a new token.
    fn reenter(&mut self, at: usize, ask: &Acquire, given: Token) -> Grant {
        let until = ask.lease_ms.map(|lease_ms| self.now.after_ms(lease_ms.max(1)));
        let hold = &mut self.holds[at];
        let replaces = std::mem::replace(&mut hold.token, given);
        // Since level 2, no lost attempt ends a hold that an earlier answer told of.
        hold.attempt = if self.level >= 2 { None } else { Some(hold.key) };
        (hold.unconfirmed, hold.orphaned, hold.lease_ms) = (None, false, ask.lease_ms);
        hold.request = ask.idempotency_key.map(|request| request.id);
        let (owner, dialect) = (hold.owner.clone(), hold.dialect);
        hold.deadline = hold.deadline.zip(until).map(|(old, new)| old.max(new));
        if !ask.metadata.is_empty() {
            hold.metadata = ask.metadata.clone();
        }
        let grant = Grant { key: hold.key, token: given, since: hold.since, deadline: hold.deadline };
        self.expect_token(&ask.name, given, Some(replaces), &owner, dialect);
        self.note_request(ask.idempotency_key);
        grant
    }

    /// The label's own place in the queue: kept, for the new request.
    pub fn wait_anew(&mut self, at: usize, id: CommandId, ask: &Acquire) -> Result<Outcome, Refusal> {
        if self.waiters[at].key != ask.key {
            self.check_key(ask.key)?;
        }
        let anew = Waiter { since: self.waiters[at].since, ..self.waiter(id, ask) };
        let old = std::mem::replace(&mut self.waiters[at], anew);
        self.after_wait(&old.owner);
        self.tell_wait_ended(&old, WaitEnd::Cancelled);
        old.request.into_iter().for_each(|request| _ = self.requests.remove(&request));
        self.note_request(ask.idempotency_key);
        let position = self.ahead_of(ask.key);
        self.grant_waiters(&ask.name);
        Ok(in_queue(ask, position))
    }

    fn waiter(&self, command: CommandId, ask: &Acquire) -> Waiter {
        let wait = ask.wait.unwrap_or(Wait::Detached { timeout_ms: 0 });
        let label = if ask.session.is_none() { ask.label.clone() } else { None };
        Waiter {
            name: ask.name.clone(),
            key: ask.key,
            command,
            since: self.now,
            wait,
            deadline: self.now.after_ms(wait.timeout_ms()),
            owner: Owner { session: ask.session, label },
            priority: ask.priority,
            size: ask.size,
            remembers_size: ask.remembers_size,
            lease_ms: ask.lease_ms,
            metadata: ask.metadata.clone(),
            dialect: ask.dialect,
            request: ask.idempotency_key.map(|request| request.id),
            orphaned: false,
        }
    }

    fn ahead_of(&self, key: HoldKey) -> u32 {
        let Some(at) = self.waiters.iter().position(|waiter| waiter.key == key) else { return 0 };
        let own = &self.waiters[at];
        let is_ahead = |(other, waiter): (usize, &Waiter)| {
            waiter.name == own.name
                && (waiter.priority > own.priority || (waiter.priority == own.priority && other < at))
        };
        self.waiters.iter().enumerate().filter(|place| is_ahead(*place)).count() as u32
    }

    pub fn held(&self, name: &Name) -> Refusal {
        let Some(oldest) = self.holds_of(name).next() else { return Refusal::Broken("no hold in the way") };
        Refusal::Held(Box::new(HeldBy {
            since: oldest.since,
            deadline: self.holds_of(name).filter_map(|hold| self.end_of(hold)).min(),
            metadata: oldest.metadata.clone(),
            token: oldest.token,
            waiters: self.waiters_of(name).count() as u32,
        }))
    }

    fn end_one(&mut self, name: &Name, why: EndReason, proof: &Proof) -> Result<Outcome, Refusal> {
        let token = self.find(name, proof)?;
        self.end_hold(token, why);
        Ok(Outcome::Released { waiter_granted: self.grant_waiters(name), names: Vec::new() })
    }

    pub fn find(&self, name: &Name, proof: &Proof) -> Result<Token, Refusal> {
        let known = self.is_in_use(name) || self.idle_sizes.iter().any(|(_, idle, _)| idle == name);
        if !known {
            return Err(Refusal::NoSuchLock);
        }
        if let Some(hold) = self.holds_of(name).find(|hold| opens(proof, hold)) {
            return Ok(hold.token);
        }
        Err(match proof {
            Proof::Label { label, .. } => {
                let without_token = Proof::Label { label: label.clone(), token: None };
                let is_owner = self.holds_of(name).any(|hold| opens(&without_token, hold));
                if is_owner { Refusal::TokenMismatch } else { Refusal::NotOwner }
            }
            _ => Refusal::WrongKey,
        })
    }

    fn renew(&mut self, name: &Name, proof: &Proof, lease_ms: u64) -> Result<Outcome, Refusal> {
        if lease_ms > self.limits.lease_ms_max {
            return Err(Refusal::LimitExceeded { field: Field::Lease, limit: self.limits.lease_ms_max });
        }
        let token = self.find(name, proof)?;
        self.heard_of(token);
        let deadline = self.now.after_ms(lease_ms.max(1));
        let hold = self.holds.iter_mut().find(|hold| hold.token == token).ok_or(Refusal::WrongKey)?;
        hold.deadline.replace(deadline).ok_or(Refusal::NoLease).inspect_err(|_| hold.deadline = None)?;
        Ok(Outcome::Renewed(Grant { key: hold.key, token, since: hold.since, deadline: Some(deadline) }))
    }

    fn cancel(&mut self, name: &Name, key: HoldKey) -> Outcome {
        let granted = self.holds.iter().find(|hold| hold.name == *name && hold.attempt == Some(key));
        let granted = granted.map(|hold| hold.token);
        if self.waiters_of(name).any(|waiter| waiter.key == key) {
            self.lose_wait(key);
        } else if let Some(token) = granted {
            self.lose_hold(token);
        }
        self.grant_waiters(name);
        Outcome::Cancelled
    }
}

fn opens(proof: &Proof, hold: &Hold) -> bool {
    match proof {
        Proof::Key(key) | Proof::OfNames { key, .. } => hold.key == *key,
        Proof::TakenBy(dialect) => hold.dialect == *dialect,
        Proof::Label { label, token } => {
            hold.owner.session.is_none()
                && hold.owner.label.as_ref() == Some(label)
                && token.is_none_or(|token| token == hold.token)
        }
    }
}

/// Only a waiting request gets an event later.
fn in_queue(ask: &Acquire, position: u32) -> Outcome {
    match ask.wait {
        Some(Wait::Detached { .. }) => Outcome::Enqueued { position },
        Some(Wait::Attached { .. } | Wait::Guarded { .. }) | None => Outcome::Waiting { position },
    }
}
