//! A lock table written without regard for speed: flat lists, searched from end to end.
//!
//! Written from the promises, not from the code, so that the two can disagree. This file has the state, expiry and the
//! queue. Commands are in `reference_commands`, nodes in `reference_nodes`, retries in
//! `reference_requests`. It predicts everything except the numbers of the fencing tokens, which it takes from the table
//! (`tokens` checks those).

use super::driver::Played;
use super::reference_nodes::Node;
use arcstr::ArcStr;
use latchd::domain::{
    Body, BodyDigest, CommandId, Dialect, EndReason, Entry, Event, Grant, HoldKey, IdempotencyId, Incarnation,
    LeaderStart, Limits, Metadata, Name, NodeId, Outcome, SessionId, Submitted, Timestamp, Token, Wait, WaitEnd,
};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Reference {
    pub now: Timestamp,
    epoch: u64,
    pub limits: Limits,
    pub level: u32,
    pub confirm: bool,
    pub nodes: BTreeMap<NodeId, Node>,
    /// The request under each idempotency key, and until when it is kept at least. The hold or waiter that names the key is
    /// its result.
    pub requests: BTreeMap<IdempotencyId, (BodyDigest, Timestamp)>,
    pub sessions: BTreeMap<SessionId, Session>,
    /// The holds of all locks, in the order in which they were granted.
    pub holds: Vec<Hold>,
    /// The waiters of all locks, in order of arrival.
    pub waiters: Vec<Waiter>,
    /// The size of locks in use, as the last hold set it.
    pub sizes: BTreeMap<Name, u32>,
    /// The size to remember of locks in use, as the last LDLM hold set it.
    ldlm_sizes: BTreeMap<Name, u32>,
    /// Remembered sizes: until when, of which lock, which size.
    pub idle_sizes: Vec<(Timestamp, Name, u32)>,
    /// Events of the table that this model has not explained yet.
    unexplained: Vec<Event>,
    wrong: Vec<String>,
}

#[derive(Clone)]
pub struct Session {
    pub idle_timeout_ms: u64,
    pub seen: Timestamp,
    pub ended: bool,
    pub request: Option<IdempotencyId>,
}

#[derive(Clone)]
pub struct Owner {
    pub session: Option<SessionId>,
    pub label: Option<ArcStr>,
}

#[derive(Clone)]
pub struct Hold {
    pub name: Name,
    pub key: HoldKey,
    pub token: Token,
    pub since: Timestamp,
    pub deadline: Option<Timestamp>,
    pub owner: Owner,
    pub metadata: Metadata,
    pub dialect: Dialect,
    /// The only attempt whose loss ends the hold; none once another attempt may have been answered.
    pub attempt: Option<HoldKey>,
    /// The lease that was asked for.
    pub lease_ms: Option<u64>,
    pub unconfirmed: Option<Incarnation>,
    pub request: Option<IdempotencyId>,
    /// The request was lost, and the hold waits for a retry.
    pub orphaned: bool,
}

#[derive(Clone)]
pub struct Waiter {
    pub name: Name,
    pub key: HoldKey,
    pub command: CommandId,
    pub since: Timestamp,
    pub wait: Wait,
    pub deadline: Timestamp,
    pub owner: Owner,
    pub priority: i32,
    pub size: u32,
    pub remembers_size: bool,
    pub lease_ms: Option<u64>,
    pub metadata: Metadata,
    pub dialect: Dialect,
    pub request: Option<IdempotencyId>,
    /// The request was lost; the place is kept for a retry.
    pub orphaned: bool,
}

impl Waiter {
    pub fn is_attached(&self) -> bool {
        matches!(self.wait, Wait::Attached { .. }) && !self.orphaned
    }
}

impl Reference {
    /// Applies the entry, and compares the table's answers.
    pub fn apply(&mut self, played: &Played) -> Result<(), String> {
        self.unexplained = played.events().to_vec();
        let Entry { at, epoch, body } = played.entry;
        match (body, played.applied) {
            (Body::Batch { .. }, Err(stale)) if *epoch != self.epoch && stale.expected == self.epoch => return Ok(()),
            (Body::Batch { .. }, Ok(_)) if *epoch != self.epoch => return Err("a stale entry was applied".into()),
            (_, Err(stale)) => return Err(format!("refused: {stale}")),
            (Body::LeaderStart(start), Ok(_)) => {
                self.now = self.now.max(*at);
                self.lead(start);
            }
            (Body::Batch { touches, more_touches, commands }, Ok(applied)) => {
                self.now = self.now.max(*at);
                self.see(touches, commands);
                self.expire(!more_touches);
                for (submitted, (id, actual)) in commands.iter().zip(&applied.outcomes) {
                    self.check_outcome(submitted, *id, actual);
                }
                self.expire_all_locks();
            }
        }
        let unexplained = self.unexplained.drain(..).map(|event| format!("an event for no reason: {event:?}"));
        self.wrong.extend(unexplained);
        if self.wrong.is_empty() { Ok(()) } else { Err(std::mem::take(&mut self.wrong).join("\n")) }
    }

    fn check_outcome(&mut self, submitted: &Submitted, id: CommandId, actual: &Outcome) {
        let given = if let Outcome::Acquired(grant) = actual { grant.token } else { Token(0) };
        let expected = self.run(submitted, given);
        if id != submitted.id || expected != *actual {
            self.wrong.push(format!("{submitted:?}:\n    expected {expected:?}\n    but was  {actual:?}"));
        }
    }

    fn lead(&mut self, start: &LeaderStart) {
        self.epoch += 1;
        self.limits = start.limits;
        self.confirm = start.confirm;
        if self.level == 0 {
            self.level = start.level;
        }
        self.sessions.values_mut().for_each(|session| session.seen = self.now);
        self.record(start.node, start.incarnation, start.store, start.level);
    }

    fn see(&mut self, touches: &[SessionId], commands: &[Submitted]) {
        let callers = commands.iter().filter_map(|submitted| submitted.command.session());
        for id in touches.iter().copied().chain(callers) {
            self.sessions.entry(id).and_modify(|session| session.seen = self.now);
        }
    }

    fn expire(&mut self, sessions_may_end: bool) {
        for (id, session) in self.sessions.clone() {
            let idle = self.now > session.seen.after_ms(session.idle_timeout_ms) && self.waits_of(id) == 0;
            if sessions_may_end && idle {
                self.end_session(id, true);
            }
        }
        self.expire_all_locks();
        self.idle_sizes.retain(|(until, ..)| self.now <= *until);
        self.forget_requests();
    }

    /// Expires everything that is due, and forgets ended sessions.
    fn expire_all_locks(&mut self) {
        self.names().iter().for_each(|name| self.expire_lock(name));
        self.sessions.retain(|_, session| !session.ended);
    }

    /// Expires one lock. Free room is granted before waits time out.
    pub fn expire_lock(&mut self, name: &Name) {
        for hold in self.holds.clone().into_iter().filter(|hold| hold.name == *name) {
            if hold.deadline.is_some_and(|deadline| self.now > deadline) {
                self.end_hold(hold.token, EndReason::Expired);
            } else if self.is_gone(&hold.owner) {
                self.end_hold(hold.token, EndReason::SessionEnded);
            }
        }
        self.grant_waiters(name);
        for waiter in self.waiters.clone().into_iter().filter(|waiter| waiter.name == *name) {
            if self.is_gone(&waiter.owner) {
                self.end_wait(waiter.key, WaitEnd::SessionEnded);
            } else if self.now > waiter.deadline {
                self.end_wait(waiter.key, WaitEnd::TimedOut);
            }
        }
        self.grant_waiters(name);
    }

    /// Grants to the next waiters while they fit; waiters of ended sessions and orphaned ones do not count.
    pub fn grant_waiters(&mut self, name: &Name) -> bool {
        let mut granted = false;
        while let Some(next) = self.next(name) {
            if !self.fits(name, next.size) {
                break;
            }
            self.waiters.retain(|waiter| waiter.key != next.key);
            self.after_wait(&next.owner);
            let token = self.expect_grant(&next);
            self.add_hold(next, token, true);
            granted = true;
        }
        if !self.is_in_use(name) {
            self.sizes.remove(name);
            if let Some(size) = self.ldlm_sizes.remove(name) {
                let until = self.now.after_ms(self.limits.remembered_size_idle_ms);
                self.idle_sizes.push((until, name.clone(), size));
                self.idle_sizes.sort();
                let surplus = self.idle_sizes.len().saturating_sub(self.limits.remembered_sizes_max as usize);
                self.idle_sizes.drain(..surplus);
            }
        }
        granted
    }

    fn next(&self, name: &Name) -> Option<Waiter> {
        let is_there = |waiter: &Waiter| !waiter.orphaned && !self.is_gone(&waiter.owner);
        let waiting = self.waiters.iter().filter(|waiter| waiter.name == *name && is_there(waiter));
        // The first with the highest priority, because they are in order of arrival.
        waiting.min_by_key(|waiter| std::cmp::Reverse(waiter.priority)).cloned()
    }

    pub fn fits(&self, name: &Name, size: u32) -> bool {
        let holds = self.holds_of(name).count();
        holds == 0 || (self.sizes.get(name) == Some(&size) && holds < size as usize)
    }

    /// `asked` is granted, at once or after a wait.
    pub fn add_hold(&mut self, asked: Waiter, token: Token, has_waited: bool) -> Grant {
        self.expect_token(&asked.name, token, None, &asked.owner, asked.dialect);
        self.sizes.insert(asked.name.clone(), asked.size);
        if asked.remembers_size {
            self.ldlm_sizes.insert(asked.name.clone(), asked.size);
            self.idle_sizes.retain(|(_, name, _)| *name != asked.name);
        }
        let deadline = self.lease_end(asked.lease_ms);
        let grant = Grant { key: asked.key, token, since: self.now, deadline };
        let is_open = has_waited && asked.is_attached() && self.confirms();
        let unconfirmed = is_open.then_some(asked.command.incarnation);
        asked.request.into_iter().for_each(|request| self.keep_request(request));
        let Waiter { name, key, owner, metadata, dialect, lease_ms, request, .. } = asked;
        self.holds.push(Hold {
            name,
            key,
            token,
            since: self.now,
            deadline,
            owner,
            metadata,
            dialect,
            attempt: Some(key),
            lease_ms,
            unconfirmed,
            request,
            orphaned: false,
        });
        grant
    }

    pub fn end_session(&mut self, id: SessionId, idle: bool) {
        self.sessions.entry(id).and_modify(|session| session.ended = true);
        self.expect(Event::SessionEnded { session: id, idle });
    }

    pub fn end_hold(&mut self, token: Token, why: EndReason) {
        let Some(at) = self.holds.iter().position(|hold| hold.token == token) else { return };
        let Hold { name, owner, dialect, since, deadline, .. } = self.holds.remove(at);
        self.expect(Event::HoldEnded {
            name,
            token,
            why,
            session: owner.session,
            dialect,
            since,
            deadline,
            is_election: false,
        });
    }

    pub fn end_wait(&mut self, key: HoldKey, why: WaitEnd) {
        let Some(at) = self.waiters.iter().position(|waiter| waiter.key == key) else { return };
        let waiter = self.waiters.remove(at);
        self.after_wait(&waiter.owner);
        self.tell_wait_ended(&waiter, why);
        waiter.request.into_iter().for_each(|request| _ = self.requests.remove(&request));
    }

    pub fn tell_wait_ended(&mut self, waiter: &Waiter, why: WaitEnd) {
        if waiter.is_attached() {
            self.expect(Event::WaiterEnded { command: waiter.command, why });
        }
    }

    /// A session is idle from the end of its last wait on.
    pub fn after_wait(&mut self, owner: &Owner) {
        if let Some(id) = owner.session.filter(|id| self.waits_of(*id) == 0) {
            self.sessions.entry(id).and_modify(|session| session.seen = self.now);
        }
    }

    pub fn expect_token(
        &mut self,
        name: &Name,
        token: Token,
        replaces: Option<Token>,
        owner: &Owner,
        dialect: Dialect,
    ) {
        let (session, value) = (owner.session, None);
        self.expect(Event::Granted { name: name.clone(), token, replaces, session, dialect, value });
    }

    fn expect(&mut self, event: Event) {
        match self.unexplained.iter().position(|told| *told == event) {
            Some(at) => _ = self.unexplained.remove(at),
            None => self.wrong.push(format!("a missing event: {event:?}")),
        }
    }

    /// The next grant event of this lock must be this waiter's; the token is taken from it.
    fn expect_grant(&mut self, next: &Waiter) -> Token {
        let told = self.unexplained.iter().find_map(|event| match event {
            Event::Granted { name, token, .. } => (*name == next.name).then_some(*token),
            _ => None,
        });
        let token = told.unwrap_or(Token(0));
        if next.is_attached() {
            let (deadline, unconfirmed) = (self.lease_end(next.lease_ms), self.confirms());
            let (name, grant) = (next.name.clone(), Grant { key: next.key, token, since: self.now, deadline });
            self.expect(Event::WaiterGranted { command: next.command, name, grant, unconfirmed });
        }
        token
    }

    pub fn lease_end(&self, lease_ms: Option<u64>) -> Option<Timestamp> {
        lease_ms.map(|lease_ms| self.now.after_ms(lease_ms.max(1)))
    }

    pub fn holds_of<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Hold> {
        self.holds.iter().filter(move |hold| hold.name == *name)
    }

    pub fn waiters_of<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Waiter> {
        self.waiters.iter().filter(move |waiter| waiter.name == *name)
    }

    pub fn waits_of(&self, id: SessionId) -> usize {
        self.waiters.iter().filter(|waiter| waiter.owner.session == Some(id)).count()
    }

    /// When a hold ends unless it is renewed. A session that waits is not idle until its wait ends.
    pub fn end_of(&self, hold: &Hold) -> Option<Timestamp> {
        let session = hold.owner.session.and_then(|id| Some((id, self.sessions.get(&id)?)));
        let ends = session.map(|(id, session)| {
            let seen = if self.waits_of(id) > 0 { self.now } else { session.seen };
            seen.after_ms(session.idle_timeout_ms)
        });
        hold.deadline.into_iter().chain(ends).min()
    }

    pub fn is_in_use(&self, name: &Name) -> bool {
        self.holds_of(name).next().is_some() || self.waiters_of(name).next().is_some()
    }

    pub fn is_live(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| !session.ended)
    }

    fn is_gone(&self, owner: &Owner) -> bool {
        owner.session.is_some_and(|id| !self.is_live(id))
    }

    /// The names of all locks in use.
    pub fn names(&self) -> Vec<Name> {
        let mut names: Vec<Name> = self.holds.iter().map(|hold| hold.name.clone()).collect();
        names.extend(self.waiters.iter().map(|waiter| waiter.name.clone()));
        names.sort();
        names.dedup();
        names
    }
}
