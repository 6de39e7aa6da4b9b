//! Who gets a lock: taking it, waiting for it, and handing it on.

use super::command::{Acquire, Wait};
use super::ids::{CommandId, Name, Token, WaiterId};
use super::lock::{Hold, Lock, Owner, Place, Waiter};
use super::outcome::{EndReason, Event, Grant, HeldBy, Outcome, Refusal, WaitEnd};
use super::table::{Run, Table};
use super::time::Timestamp;
use std::cmp::Reverse;

impl Table {
    /// The lock was settled just before, so what is in it counts.
    pub(super) fn acquire(&mut self, run: &mut Run, id: CommandId, acquire: Acquire) -> Outcome {
        if let Err(refusal) = self.limits.check_acquire(&acquire) {
            return Outcome::Refused(refusal);
        }
        if self.next_token >= Token::END {
            return Outcome::Refused(Refusal::TokensExhausted);
        }
        if let Some(outcome) = self.reenter(run, id, &acquire) {
            return outcome;
        }
        let lock = self.locks.get(&acquire.name);
        if let Err(refusal) = self.check_size(lock, &acquire) {
            return Outcome::Refused(refusal);
        }
        let free = lock.is_none_or(|lock| lock.has_room(acquire.size) && lock.queue.lets_pass(acquire.priority));
        if !free && acquire.wait.is_none() {
            return Outcome::Refused(self.held(lock));
        }
        if let Err(refusal) = self.check_counts(&acquire, free) {
            return Outcome::Refused(refusal);
        }
        if free { self.take(acquire) } else { self.wait(id, acquire) }
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
        let waiters = self.locks.get(&acquire.name).map_or(0, |lock| lock.queue.len() as u64);
        if !free && waiters >= limits.waiters_per_lock_max {
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
            return Some(self.extend_own(acquire, at));
        }
        let (place, _) = lock.queue.iter().find(|(_, waiter)| waiter.owner == owner)?;
        let place = *place;
        acquire.wait?;
        if let Err(refusal) = self.check_waiting_key(acquire, Some(place)) {
            return Some(Outcome::Refused(refusal));
        }
        let waiter = self.take_waiter(&acquire.name, place)?;
        self.tell_wait_ended(run, &waiter, WaitEnd::Cancelled);
        let moved = Waiter { since: waiter.since, ..self.waiter(id, acquire) };
        let place = (Reverse(acquire.priority), place.1);
        let outcome = self.enqueue(&acquire.name, place, moved);
        // Another may be next now, and fit.
        self.hand_on(run, &acquire.name);
        Some(outcome)
    }

    fn extend_own(&mut self, acquire: &Acquire, at: usize) -> Outcome {
        let asked = self.lease_end(acquire.lease_ms);
        let token = self.next_token();
        let Some(lock) = self.locks.get_mut(&acquire.name) else {
            return Outcome::Refused(Refusal::Broken("a lock vanished while it was re-entered"));
        };
        let hold = &mut lock.holds[at];
        self.index.remove_hold(hold);
        hold.deadline = hold.deadline.max(asked);
        hold.token = token;
        if !acquire.metadata.is_empty() {
            hold.metadata = acquire.metadata.clone();
        }
        let hold = hold.clone();
        lock.recompute_next_due();
        self.index.add_hold(&acquire.name, &hold);
        Outcome::Acquired(hold.grant())
    }

    fn take(&mut self, acquire: Acquire) -> Outcome {
        let hold = Hold {
            key: acquire.key,
            token: self.next_token(),
            since: self.now,
            deadline: self.lease_end(acquire.lease_ms),
            owner: owner(&acquire),
            metadata: acquire.metadata,
            dialect: acquire.dialect,
        };
        let grant = hold.grant();
        self.add_hold(acquire.name, acquire.size, acquire.remembers_size, hold);
        Outcome::Acquired(grant)
    }

    fn wait(&mut self, id: CommandId, acquire: Acquire) -> Outcome {
        let place = (Reverse(acquire.priority), WaiterId(self.next_waiter));
        self.next_waiter += 1;
        let waiter = self.waiter(id, &acquire);
        self.enqueue(&acquire.name, place, waiter)
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
        }
    }

    fn enqueue(&mut self, name: &Name, place: Place, waiter: Waiter) -> Outcome {
        let Some((name, _)) = self.locks.get_key_value(name) else {
            return Outcome::Refused(Refusal::Broken("a waiter for a free lock"));
        };
        let name = name.clone();
        self.index.add_waiter(&name, place, &waiter);
        if let Some(session) = waiter.owner.session() {
            self.count_waiter(session);
        }
        let Some(lock) = self.locks.get_mut(&name) else {
            return Outcome::Refused(Refusal::Broken("a lock vanished under its waiter"));
        };
        lock.expects(waiter.deadline);
        lock.queue.insert(place, waiter);
        Outcome::Queued { position: lock.queue.ahead(&place) as u32 }
    }

    /// Removes what has ended from a lock and hands on what became free. Called before a command looks at it.
    pub(super) fn settle(&mut self, run: &mut Run, name: &Name) {
        let Some(lock) = self.locks.get(name) else { return };
        if !lock.next_due.is_past(self.now) && self.index.ended_sessions.is_empty() {
            return;
        }
        self.remove_ended_holds(run, name);
        self.hand_on(run, name);
        if self.remove_ended_waits(run, name) {
            self.hand_on(run, name);
        }
        if let Some(lock) = self.locks.get_mut(name) {
            lock.recompute_next_due();
        }
    }

    fn remove_ended_holds(&mut self, run: &mut Run, name: &Name) {
        let Some(lock) = self.locks.get(name) else { return };
        let reasons: Vec<Option<EndReason>> = lock.holds.iter().map(|hold| self.why_ended(hold)).collect();
        if reasons.iter().all(Option::is_none) {
            return;
        }
        // In one pass: a lock may have thousands of holds that end together.
        let mut reasons = reasons.into_iter();
        let Some(lock) = self.locks.get_mut(name) else { return };
        let holds = std::mem::take(&mut lock.holds);
        let (ended, kept): (Vec<_>, Vec<_>) =
            holds.into_iter().map(|hold| (hold, reasons.next().flatten())).partition(|(_, why)| why.is_some());
        lock.holds = kept.into_iter().map(|(hold, _)| hold).collect();
        for (hold, why) in ended.into_iter().filter_map(|(hold, why)| Some((hold, why?))) {
            self.forget_hold(run, name, &hold, why);
        }
    }

    fn why_ended(&self, hold: &Hold) -> Option<EndReason> {
        if hold.deadline.is_past(self.now) {
            return Some(EndReason::Expired);
        }
        let session = hold.owner.session()?;
        (!self.is_live(session)).then_some(EndReason::SessionEnded)
    }

    fn remove_ended_waits(&mut self, run: &mut Run, name: &Name) -> bool {
        let Some(lock) = self.locks.get(name) else { return false };
        let ended: Vec<(Place, WaitEnd)> =
            lock.queue.iter().filter_map(|(place, waiter)| Some((*place, self.why_wait_ended(waiter)?))).collect();
        for (place, why) in &ended {
            self.end_wait(run, name, *place, *why);
        }
        !ended.is_empty()
    }

    fn why_wait_ended(&self, waiter: &Waiter) -> Option<WaitEnd> {
        if waiter.owner.session().is_some_and(|session| !self.is_live(session)) {
            return Some(WaitEnd::SessionEnded);
        }
        waiter.deadline.is_past(self.now).then_some(WaitEnd::TimedOut)
    }

    /// Grants to those who are next, as far as there is room; a lock that nobody wants is forgotten. A waiter whose
    /// own end came in the same entry still gets its turn: the free room came first.
    pub(super) fn hand_on(&mut self, run: &mut Run, name: &Name) -> bool {
        let mut granted = false;
        while let Some((place, gone)) = self.next_to_leave_the_queue(name) {
            let Some(waiter) = self.take_waiter(name, place) else { break };
            if gone {
                self.tell_wait_ended(run, &waiter, WaitEnd::SessionEnded);
            } else {
                self.grant_waiter(run, name, waiter);
                granted = true;
            }
        }
        self.forget_unused(name);
        granted
    }

    /// The head of the queue if its session is gone (`true`) or its turn has come.
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
            owner: waiter.owner,
            metadata: waiter.metadata,
            dialect: waiter.dialect,
        };
        let grant: Grant = hold.grant();
        self.add_hold(name.clone(), waiter.size, waiter.remembers_size, hold);
        let name = name.clone();
        run.events.push(match answered_by {
            Some(command) => Event::WaiterGranted { command, name, grant },
            None => Event::DetachedGranted { name, grant },
        });
    }

    fn add_hold(&mut self, name: Name, size: u32, remember: bool, hold: Hold) {
        let name = self.locks.get_key_value(&name).map_or(name, |(stored, _)| stored.clone());
        self.index.add_hold(&name, &hold);
        if let Some(session) = hold.owner.session() {
            self.count_hold(session);
        }
        if remember {
            self.remembered.forget(&name);
        }
        let size_to_remember = if remember { size } else { 0 };
        match self.locks.get_mut(&name) {
            Some(lock) => {
                lock.size = size;
                lock.size_to_remember = if remember { size } else { lock.size_to_remember };
                lock.expects(hold.deadline);
                lock.holds.push(hold);
            }
            None => {
                let next_due = hold.deadline;
                let lock = Lock { size, size_to_remember, next_due, holds: vec![hold], ..Lock::default() };
                self.locks.insert(name, lock);
            }
        }
    }

    fn lease_end(&self, lease_ms: Option<u64>) -> Timestamp {
        lease_ms.map_or(Timestamp::NEVER, |lease_ms| self.now.after_ms(lease_ms.max(1)))
    }

    fn next_token(&mut self) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        token
    }

    fn held(&self, lock: Option<&Lock>) -> Refusal {
        let Some((lock, oldest)) = lock.and_then(|lock| Some((lock, lock.holds.first()?))) else {
            return Refusal::Broken("a queue without a hold");
        };
        Refusal::Held(Box::new(HeldBy {
            since: oldest.since,
            deadline: lock.holds.iter().filter_map(Hold::lease).min(),
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
