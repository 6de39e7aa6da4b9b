//! A lock table written without regard for speed: flat lists, searched from end to end.
//!
//! Written from the promises, not from the code, so that the two can disagree. A hold of several names is one record with a
//! list of names, and so is a wait. This file has the state; `queue` says who is granted what, `expiry` what ends, `history`
//! what is remembered of it, `deadlock` who waits for whom, `freezes` what is frozen, `quotas` how much each may have, and the others what each command does.
//! It predicts everything except the numbers of the fencing
//! tokens, which it takes from the table (`tokens` checks those), and which of several cycles of waits is named.

mod acquire;
mod changes;
mod commands;
mod deadlock;
mod expiry;
mod freezes;
mod history;
mod nodes;
mod queue;
mod quotas;
mod requests;

use super::driver::Played;
use arcstr::ArcStr;
pub use history::Past;
use latchd::domain::{
    Body, BodyDigest, Caller, CommandId, Dialect, Entry, Event, Force, Freeze, HoldKey, IdempotencyId, Incarnation,
    LeaderStart, Limits, Metadata, Name, NodeId, Outcome, Quotas, SessionId, Submitted, Terms, Timestamp, Token, Wait,
};
use nodes::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    /// All holds, in the order in which they were granted.
    pub holds: Vec<Hold>,
    /// All waiters, in order of arrival.
    pub waiters: Vec<Waiter>,
    /// The size of each known lock, as the last hold or an operator set it; before the first hold, that of the first waiter.
    pub sizes: BTreeMap<Name, u32>,
    /// Locks whose size an operator set: they are counted even with size 1.
    resized: BTreeSet<Name>,
    /// The size to remember of known locks, as the last LDLM hold set it.
    ldlm_sizes: BTreeMap<Name, u32>,
    /// Locks that nobody is granted for a while: until when, and the token of the hold that ended.
    pub delays: BTreeMap<Name, (Timestamp, Token)>,
    /// For whom delays count, since level 9.
    delayed_for: BTreeMap<Name, Caller>,
    quotas: Arc<Quotas>,
    /// Remembered sizes: until when, of which lock, which size.
    pub idle_sizes: Vec<(Timestamp, Name, u32)>,
    /// High-water marks: the token, and until when it is remembered.
    pub marks: BTreeMap<Name, (Token, Timestamp)>,
    /// The holds of each name that have ended, oldest first.
    past: BTreeMap<Name, Vec<Past>>,
    /// Who forces the end of a hold now.
    force: Option<Force>,
    pub freezes: BTreeMap<Name, Freeze>,
    /// The last token that the table issued.
    last_token: u64,
    /// Events of the table that this model has not explained yet.
    unexplained: Vec<Event>,
    wrong: Vec<String>,
}

#[derive(Clone)]
pub struct Session {
    pub idle_timeout_ms: u64,
    pub seen: Timestamp,
    pub ended: bool,
    /// It ended because it was idle.
    pub timed_out: bool,
    pub request: Option<IdempotencyId>,
    pub caller: Caller,
    /// Who ended it by force.
    pub force: Option<Force>,
}

#[derive(Clone, PartialEq)]
pub struct Owner {
    pub session: Option<SessionId>,
    pub label: Option<ArcStr>,
}

/// What is asked for, and then held.
#[derive(Clone)]
pub struct Claim {
    /// The names, each with its size.
    pub places: Vec<(Name, u32)>,
    /// Asked for as a list of names, even if that has one.
    pub is_set: bool,
    pub weight: u32,
    pub delay_ms: u64,
    /// Of an election.
    pub value: Option<ArcStr>,
}

#[derive(Clone)]
pub struct Hold {
    pub claim: Claim,
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
    pub caller: Caller,
}

#[derive(Clone)]
pub struct Waiter {
    pub claim: Claim,
    /// The shared hold that waits to become exclusive.
    pub upgrades: Option<Token>,
    pub key: HoldKey,
    pub command: CommandId,
    pub since: Timestamp,
    pub wait: Wait,
    pub deadline: Timestamp,
    pub owner: Owner,
    pub priority: i32,
    pub remembers_size: bool,
    pub lease_ms: Option<u64>,
    pub metadata: Metadata,
    pub dialect: Dialect,
    pub request: Option<IdempotencyId>,
    /// The request was lost; the place is kept for a retry.
    pub orphaned: bool,
    pub caller: Caller,
}

impl Claim {
    pub fn names(&self) -> Vec<Name> {
        self.places.iter().map(|(name, _)| name.clone()).collect()
    }

    pub fn has(&self, name: &Name) -> bool {
        self.places.iter().any(|(own, _)| own == name)
    }

    /// As the table keeps it, if it is more than one place in one lock.
    pub fn terms(&self) -> Terms {
        let names = if self.is_set { self.places.clone() } else { Vec::new() };
        Terms { weight: self.weight, lock_delay_ms: self.delay_ms, names, value: self.value.clone() }
    }

    /// The name under which it is reported.
    pub fn first(&self) -> &Name {
        &self.places[0].0
    }
}

impl Waiter {
    pub fn is_attached(&self) -> bool {
        matches!(self.wait, Wait::Attached { .. } | Wait::Guarded { .. }) && !self.orphaned
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
                self.clear_ended_sessions();
            }
        }
        let unexplained = self.unexplained.drain(..).map(|event| format!("an event for no reason: {event:?}"));
        self.wrong.extend(unexplained);
        if self.wrong.is_empty() { Ok(()) } else { Err(std::mem::take(&mut self.wrong).join("\n")) }
    }

    fn check_outcome(&mut self, submitted: &Submitted, id: CommandId, actual: &Outcome) {
        let expected = self.run(submitted, actual);
        if id != submitted.id || expected != *actual {
            self.wrong.push(format!("{submitted:?}:\n    expected {expected:?}\n    but was  {actual:?}"));
        }
    }

    fn lead(&mut self, start: &LeaderStart) {
        self.epoch += 1;
        if self.level == 0 {
            self.level = start.level;
        }
        self.last_token = self.last_token.max(start.first_token - 1);
        self.set_limits(&start.limits);
        self.set_quotas(start.quotas.as_ref());
        self.confirm = start.confirm;
        self.sessions.values_mut().for_each(|session| session.seen = self.now);
        self.record(start.node, start.incarnation, start.store, start.level);
    }

    fn see(&mut self, touches: &[SessionId], commands: &[Submitted]) {
        let callers = commands.iter().filter_map(|submitted| submitted.command.session());
        for id in touches.iter().copied().chain(callers) {
            self.sessions.entry(id).and_modify(|session| session.seen = self.now);
        }
    }

    /// The hold has this token now.
    fn expect_token(&mut self, name: &Name, token: Token, replaces: Option<Token>) {
        self.last_token = self.last_token.max(token.0);
        let Some(Hold { owner, dialect, claim, .. }) = self.hold_mut(token).cloned() else { return };
        let (name, session, value, weight) = (name.clone(), owner.session, None, claim.weight);
        let size = self.sizes.get(&name).copied().unwrap_or(1);
        self.expect(Event::Granted { name, token, replaces, session, dialect, size, weight, value });
    }

    fn expect(&mut self, event: Event) {
        match self.unexplained.iter().position(|told| *told == event) {
            Some(at) => _ = self.unexplained.remove(at),
            None => self.wrong.push(format!("a missing event: {event:?}")),
        }
    }
}

/// Reading.
impl Reference {
    pub fn has_modes(&self) -> bool {
        self.level >= 7
    }

    pub fn has_history(&self) -> bool {
        self.level >= 10
    }

    pub fn has_bounds(&self) -> bool {
        self.level >= 9
    }

    /// Each counts as a hold.
    pub fn delays_counted(&self) -> u64 {
        if self.has_bounds() { self.delays.len() as u64 } else { 0 }
    }

    pub fn lease_end(&self, lease_ms: Option<u64>) -> Option<Timestamp> {
        lease_ms.map(|lease_ms| self.now.after_ms(lease_ms.max(1)))
    }

    pub fn hold_mut(&mut self, token: Token) -> Option<&mut Hold> {
        self.holds.iter_mut().find(|hold| hold.token == token)
    }

    pub fn holds_of<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Hold> {
        self.holds.iter().filter(move |hold| hold.claim.has(name))
    }

    pub fn waiters_of<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Waiter> {
        self.waiters.iter().filter(move |waiter| waiter.claim.has(name))
    }

    /// How many names the holds have, and the waiters; of all or of one session.
    pub fn counts(&self, of: Option<SessionId>) -> (usize, usize) {
        let is_own = |owner: &Owner| of.is_none() || owner.session == of;
        let holds = self.holds.iter().filter(|hold| is_own(&hold.owner)).map(|hold| hold.claim.places.len());
        let waiters = self.waiters.iter().filter(|waiter| is_own(&waiter.owner));
        (holds.sum(), waiters.map(|waiter| waiter.claim.places.len()).sum())
    }

    pub fn waits_of(&self, id: SessionId) -> usize {
        self.counts(Some(id)).1
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

    /// Whether the table knows the lock: it has a hold or a waiter, or is delayed.
    pub fn is_known(&self, name: &Name) -> bool {
        let is_in_use = self.holds_of(name).next().is_some() || self.waiters_of(name).next().is_some();
        is_in_use || self.delays.contains_key(name)
    }

    /// The names of all known locks.
    pub fn names(&self) -> BTreeSet<Name> {
        let of_holds = self.holds.iter().flat_map(|hold| hold.claim.names());
        let of_waiters = self.waiters.iter().flat_map(|waiter| waiter.claim.names());
        of_holds.chain(of_waiters).chain(self.delays.keys().cloned()).collect()
    }

    pub fn is_live(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| !session.ended)
    }

    pub fn is_gone(&self, owner: &Owner) -> bool {
        owner.session.is_some_and(|id| !self.is_live(id))
    }
}
