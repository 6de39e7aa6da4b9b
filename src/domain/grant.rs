//! Who gets a lock: taking it, waiting for it, and handing it on.

use super::command::{Acquire, Wait};
use super::idempotency::Made;
use super::ids::{CommandId, Name, Token, WaiterId};
use super::lock::{Hold, Lock, Owner, Place, Waiter};
use super::outcome::{Event, Grant, HeldBy, Outcome, Refusal, WaitEnd};
use super::table::{Run, Table};
use super::time::Timestamp;
use super::usage::Usage;
use crate::mutants;
use std::cmp::Reverse;

impl Table {
    /// The lock was settled just before, so what is in it counts.
    pub(super) fn acquire(&mut self, run: &mut Run, id: CommandId, mut acquire: Acquire) -> Outcome {
        acquire.idempotency_key = acquire.idempotency_key.filter(|_| self.knows_clusters());
        if let Some(outcome) = self.answer_again(run, id, &acquire) {
            return outcome;
        }
        if let Err(refusal) = self.check_grantable(&acquire).and_then(|()| self.check_requests(acquire.idempotency_key))
        {
            return Outcome::Refused(refusal);
        }
        if let Some(outcome) = self.reenter(run, id, &acquire) {
            return outcome;
        }
        match self.check_free(&acquire, self.now) {
            Err(refusal) => Outcome::Refused(refusal),
            Ok(true) => self.take(run, acquire),
            Ok(false) => self.wait(id, acquire),
        }
    }

    /// Whether there can be such a hold at all.
    pub(super) fn check_grantable(&self, acquire: &Acquire) -> Result<(), Refusal> {
        self.limits.check_acquire(acquire)?;
        if self.next_token >= Token::END { Err(Refusal::TokensExhausted) } else { Ok(()) }
    }

    /// Whether it gets the lock at once, or waits.
    pub(super) fn check_free(&self, acquire: &Acquire, now: Timestamp) -> Result<bool, Refusal> {
        let lock = self.locks.get(&acquire.name);
        self.check_size(lock, acquire)?;
        let free = lock.is_none_or(|lock| lock.has_room(acquire.size) && lock.queue.lets_pass(acquire.priority));
        if !free && acquire.wait.is_none() {
            return Err(self.held(lock, now));
        }
        let more = Usage::of_acquire(acquire, free);
        self.check_counts(acquire, free).and_then(|()| self.check_usage(acquire.caller, more)).map(|()| free)
    }

    /// LDLM's clients are told when they disagree about the size, also about that of an idle lock.
    fn check_size(&self, lock: Option<&Lock>, acquire: &Acquire) -> Result<(), Refusal> {
        if !acquire.remembers_size {
            return Ok(());
        }
        let size = match lock {
            Some(lock) => Some(lock.size),
            None => self.remembered.size(&acquire.name),
        };
        match size {
            Some(size) if size != acquire.size => Err(Refusal::SizeMismatch { size }),
            _ => Ok(()),
        }
    }

    fn check_counts(&self, acquire: &Acquire, free: bool) -> Result<(), Refusal> {
        let limits = &self.limits;
        if self.index.hold_count + self.index.waiter_count() >= limits.holds_max {
            return Err(Refusal::HoldsFull { limit: limits.holds_max });
        }
        if let Some(session) = acquire.session.and_then(|id| self.sessions.get(&id))
            && u64::from(session.holds) + u64::from(session.waiters) >= limits.holds_per_session_max
        {
            return Err(Refusal::SessionHoldsFull { limit: limits.holds_per_session_max });
        }
        let waiters = || self.locks.get(&acquire.name).map_or(0, |lock| lock.queue.len() as u64);
        if !free && waiters() >= limits.waiters_per_lock_max {
            return Err(Refusal::QueueFull { limit: limits.waiters_per_lock_max });
        }
        if free { Ok(()) } else { self.check_waiting_key(acquire, None) }
    }

    /// A waiter is found by its key, so no other may wait with it. Keys are made fresh: this never happens.
    fn check_waiting_key(&self, acquire: &Acquire, own: Option<Place>) -> Result<(), Refusal> {
        match self.index.waiting_keys.get(&acquire.key) {
            Some((_, place)) if own != Some(*place) => Err(Refusal::Broken("two waiters with one key")),
            _ => Ok(()),
        }
    }

    /// The same owner label asks again: its hold stays, is never shortened and gets a new token; its place in the
    /// queue stays, with the new timeout and priority.
    fn reenter(&mut self, run: &mut Run, id: CommandId, acquire: &Acquire) -> Option<Outcome> {
        if !acquire.reentrant {
            return None;
        }
        let owner = Some(owner(acquire)).filter(|owner| matches!(owner, Owner::Label(_)))?;
        let lock = self.locks.get(&acquire.name)?;
        if let Some(at) = lock.holds.iter().position(|hold| hold.owner == owner) {
            return Some(self.extend_own(run, acquire, at));
        }
        let (place, _) = lock.queue.iter().find(|(_, waiter)| waiter.owner == owner)?;
        let place = *place;
        acquire.wait?;
        Some(self.wait_anew(run, id, acquire, place, (Reverse(acquire.priority), place.1)))
    }

    /// A waiter asks again: this request waits in its stead.
    pub(super) fn wait_anew(
        &mut self,
        run: &mut Run,
        id: CommandId,
        acquire: &Acquire,
        place: Place,
        next: Place,
    ) -> Outcome {
        if let Err(refusal) = self.check_waiting_key(acquire, Some(place)) {
            return Outcome::Refused(refusal);
        }
        if let Err(refusal) = self.check_growing_wait(acquire, place) {
            return Outcome::Refused(refusal);
        }
        let Some(waiter) = self.take_waiter(&acquire.name, place) else {
            return Outcome::Refused(Refusal::Broken("a waiter vanished while it asked again"));
        };
        self.forget_wait(run, &waiter, WaitEnd::Cancelled);
        let moved = Waiter { since: waiter.since, caller: waiter.caller, ..self.waiter(id, acquire) };
        let outcome = self.enqueue(acquire, next, moved);
        // Another may be next now, and fit.
        self.hand_on(run, &acquire.name);
        outcome
    }

    fn extend_own(&mut self, run: &mut Run, acquire: &Acquire, at: usize) -> Outcome {
        if let Err(refusal) = self.check_growing_hold(acquire, at) {
            return Outcome::Refused(refusal);
        }
        let asked = self.lease_end(acquire.lease_ms);
        let token = self.next_token();
        let claim = self.claim_again(acquire);
        let Some(lock) = self.locks.get_mut(&acquire.name) else {
            return Outcome::Refused(Refusal::Broken("a lock vanished while it was re-entered"));
        };
        let hold = &mut lock.holds[at];
        let before = hold.request();
        self.index.remove_hold(&acquire.name, hold);
        hold.claim = claim;
        hold.deadline = hold.deadline.max(asked);
        let replaces = std::mem::replace(&mut hold.token, token);
        if !acquire.metadata.is_empty() {
            hold.metadata = acquire.metadata.clone();
        }
        let hold = hold.clone();
        lock.recompute_next_due();
        self.index.add_hold(&acquire.name, &hold);
        before.into_iter().for_each(|request| self.end_request(request));
        self.granted(run, acquire.name.clone(), &hold, Some(replaces));
        let made = Made::Hold { name: acquire.name.clone(), token };
        self.note_request(acquire.idempotency_key, acquire.caller, made);
        Outcome::Acquired(hold.grant())
    }

    fn take(&mut self, run: &mut Run, acquire: Acquire) -> Outcome {
        let claim = self.claim_of(&acquire);
        let hold = Hold {
            key: acquire.key,
            token: self.next_token(),
            since: self.now,
            deadline: self.lease_end(acquire.lease_ms),
            owner: owner(&acquire),
            metadata: acquire.metadata,
            dialect: acquire.dialect,
            caller: acquire.caller,
            claim,
        };
        let grant = hold.grant();
        self.granted(run, acquire.name.clone(), &hold, None);
        if acquire.idempotency_key.is_some() {
            let made = Made::Hold { name: acquire.name.clone(), token: grant.token };
            self.note_request(acquire.idempotency_key, acquire.caller, made);
        }
        self.add_hold(acquire.name, acquire.size, acquire.remembers_size, hold);
        Outcome::Acquired(grant)
    }

    fn granted(&self, run: &mut Run, name: Name, hold: &Hold, replaces: Option<Token>) {
        let (token, session, dialect) = (hold.token, hold.owner.session(), hold.dialect);
        run.events.push(Event::Granted { name, token, replaces, session, dialect });
    }

    fn wait(&mut self, id: CommandId, acquire: Acquire) -> Outcome {
        let place = (Reverse(acquire.priority), WaiterId(self.next_waiter));
        self.next_waiter += 1;
        let waiter = self.waiter(id, &acquire);
        self.enqueue(&acquire, place, waiter)
    }

    fn waiter(&self, command: CommandId, acquire: &Acquire) -> Waiter {
        let wait = acquire.wait.unwrap_or(Wait::Detached { timeout_ms: 1 });
        Waiter {
            command,
            key: acquire.key,
            since: self.now,
            wait,
            deadline: self.now.after_ms(wait.timeout_ms()),
            owner: owner(acquire),
            size: acquire.size,
            remembers_size: acquire.remembers_size,
            lease_ms: acquire.lease_ms,
            metadata: acquire.metadata.clone(),
            dialect: acquire.dialect,
            request: acquire.idempotency_key.map(|request| request.id),
            caller: acquire.caller,
            orphaned: false,
        }
    }

    fn enqueue(&mut self, acquire: &Acquire, place: Place, waiter: Waiter) -> Outcome {
        let Some((name, _)) = self.locks.get_key_value(&acquire.name) else {
            return Outcome::Refused(Refusal::Broken("a waiter for a free lock"));
        };
        let name = name.clone();
        let is_attached = matches!(waiter.wait, Wait::Attached { .. });
        self.put_in_queue(&name, place, waiter);
        let position = self.locks.get(&name).map_or(0, |lock| lock.queue.ahead(&place)) as u32;
        self.note_request(acquire.idempotency_key, acquire.caller, Made::Waiter { name, key: acquire.key });
        if is_attached { Outcome::Queued { position } } else { Outcome::Enqueued { position } }
    }

    /// Gives a waiter its place in the queue of a lock that is there.
    pub(super) fn put_in_queue(&mut self, name: &Name, place: Place, waiter: Waiter) {
        self.index.add_waiter(name, place, &waiter);
        if let Some(session) = waiter.owner.session() {
            self.count_waiter(session);
        }
        let Some(lock) = self.locks.get_mut(name) else { return };
        lock.expects(waiter.deadline);
        lock.queue.insert(place, waiter);
    }

    /// Grants to those who are next, as far as there is room; a lock that nobody wants is forgotten. A waiter whose
    /// own end came in the same entry still gets its turn: the free room came first.
    pub(super) fn hand_on(&mut self, run: &mut Run, name: &Name) -> bool {
        let mut granted = false;
        while let Some((place, gone)) = self.next_to_leave_the_queue(name) {
            let Some(waiter) = self.take_waiter(name, place) else { break };
            if gone {
                self.forget_wait(run, &waiter, WaitEnd::SessionEnded);
            } else {
                self.grant_waiter(run, name, waiter);
                granted = true;
            }
        }
        self.forget_unused(name);
        granted
    }

    /// The head of the queue if nobody is behind it any more (`true`) or its turn has come.
    fn next_to_leave_the_queue(&self, name: &Name) -> Option<(Place, bool)> {
        let lock = self.locks.get(name)?;
        let (place, waiter) = lock.queue.first()?;
        let gone = waiter.owner.session().is_some_and(|session| !self.is_live(session));
        let fits = lock.has_room(waiter.size) && self.next_token < Token::END;
        (gone || fits).then_some((*place, gone))
    }

    fn grant_waiter(&mut self, run: &mut Run, name: &Name, waiter: Waiter) {
        let answered_by = waiter.answered_by();
        let hold = Hold {
            key: waiter.key,
            token: self.next_token(),
            since: self.now,
            deadline: self.lease_end(waiter.lease_ms),
            claim: self.claim_of_waiter(&waiter),
            owner: waiter.owner,
            metadata: waiter.metadata,
            dialect: waiter.dialect,
            caller: waiter.caller,
        };
        let (grant, unconfirmed): (Grant, bool) = (hold.grant(), hold.unconfirmed().is_some());
        if let Some(request) = waiter.request {
            self.keep_request(request, Made::Hold { name: name.clone(), token: grant.token });
        }
        if let Some(command) = answered_by {
            run.events.push(Event::WaiterGranted { command, name: name.clone(), grant, unconfirmed });
        }
        self.granted(run, name.clone(), &hold, None);
        self.add_hold(name.clone(), waiter.size, waiter.remembers_size, hold);
    }

    fn add_hold(&mut self, name: Name, size: u32, remember: bool, hold: Hold) {
        if remember {
            self.remembered.forget(&name);
        }
        let (session, next_due) = (hold.owner.session(), hold.deadline);
        let size_to_remember = if remember { size } else { 0 };
        let lock = Lock { size, size_to_remember, next_due, holds: vec![hold], ..Lock::default() };
        let (name, lock) = self.locks.upsert(name, lock, Lock::adopt);
        if let Some(hold) = lock.holds.last() {
            self.index.add_hold(&name, hold);
        }
        session.into_iter().for_each(|session| self.count_hold(session));
    }

    pub(super) fn lease_end(&self, lease_ms: Option<u64>) -> Timestamp {
        lease_ms.map_or(Timestamp::NEVER, |lease_ms| {
            self.now.after_ms(lease_ms.max(1) / if mutants::on("lease-halved") { 2 } else { 1 })
        })
    }

    fn next_token(&mut self) -> Token {
        let token = Token(self.next_token);
        self.next_token += u64::from(!mutants::on("token-reused"));
        token
    }

    fn held(&self, lock: Option<&Lock>, now: Timestamp) -> Refusal {
        let Some((lock, oldest)) = lock.and_then(|lock| Some((lock, lock.holds.first()?))) else {
            return Refusal::Broken("a queue without a hold");
        };
        Refusal::Held(Box::new(HeldBy {
            since: oldest.since,
            deadline: lock.holds.iter().filter_map(|hold| self.end_of(hold, now)).min(),
            metadata: oldest.metadata.clone(),
            token: oldest.token,
            waiters: lock.queue.len() as u32,
        }))
    }
}

fn owner(acquire: &Acquire) -> Owner {
    match (acquire.session, &acquire.label) {
        (Some(session), _) => Owner::Session(session),
        (None, Some(label)) => Owner::Label(label.clone()),
        (None, None) => Owner::Bearer,
    }
}
