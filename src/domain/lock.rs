//! One lock: its holds and its queue. Knows nothing of other locks or of sessions.

use super::caller::Caller;
use super::command::Wait;
use super::cow::{ShardKey, stable_hash};
use super::ids::{CommandId, Dialect, HoldKey, Incarnation, Name, RequestId, SessionId, Token, WaiterId};
use super::metadata::Metadata;
use super::outcome::Grant;
use super::time::Timestamp;
use crate::mutants;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

impl ShardKey for Name {
    fn shard_hash(&self) -> u64 {
        stable_hash(self.as_bytes())
    }
}

/// Present in the table only while it has a hold or a waiter.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Lock {
    /// Room for this many holds; set by the first of them.
    pub size: u32,
    /// The size to remember when it is free (LDLM's rule); 0 if no client with that rule held it.
    pub size_to_remember: u32,
    /// No deadline in here is earlier: until it has passed, nothing needs looking at.
    pub next_due: Timestamp,
    /// Oldest first.
    pub holds: Vec<Hold>,
    pub queue: Queue,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    pub key: HoldKey,
    pub token: Token,
    pub since: Timestamp,
    /// `Timestamp::NEVER` without a lease.
    pub deadline: Timestamp,
    pub owner: Owner,
    pub metadata: Metadata,
    pub dialect: Dialect,
    /// Who asked for it.
    pub caller: Caller,
    /// Boxed, because most holds have none.
    pub claim: Option<Box<Claim>>,
}

/// What is open between a hold and the requests that asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Granted to a waiter of this process run, which has not said yet that it can answer.
    pub unconfirmed: Option<Incarnation>,
    /// The request that is given this hold again when it is retried.
    pub request: Option<RequestId>,
    /// The attempt, by the key that it brought, without whose answer nobody knows of the hold; `None` once several
    /// may have been answered.
    pub attempt: Option<HoldKey>,
    /// The lease that was asked for.
    pub lease_ms: Option<u64>,
    /// Its request was lost: until a retry claims it, its deadline is the end of the time for that.
    pub orphaned: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Whoever knows the key (or, in a dialect without keys, the name).
    Bearer,
    Session(SessionId),
    Label(Arc<str>),
}

/// Priority first, then arrival. Boxed: most locks have no waiters.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(clippy::box_collection, reason = "16 bytes less for each lock, of which there may be millions")]
pub struct Queue(Option<Box<BTreeMap<Place, Waiter>>>);

/// A waiter's place: the smallest is next.
pub type Place = (Reverse<i32>, WaiterId);

#[derive(Clone, Debug, PartialEq)]
pub struct Waiter {
    /// The acquire that waits; its origin is the node that answers the request.
    pub command: CommandId,
    pub key: HoldKey,
    pub since: Timestamp,
    pub wait: Wait,
    pub deadline: Timestamp,
    pub owner: Owner,
    pub size: u32,
    pub remembers_size: bool,
    pub lease_ms: Option<u64>,
    pub metadata: Metadata,
    pub dialect: Dialect,
    /// The request that takes this place again when it is retried.
    pub request: Option<RequestId>,
    pub caller: Caller,
    /// Its request was lost: `deadline` is the end of the time for a retry, and until then it is granted nothing.
    pub orphaned: bool,
}

impl Hold {
    pub fn grant(&self) -> Grant {
        Grant { key: self.key, token: self.token, since: self.since, deadline: self.lease() }
    }

    pub fn lease(&self) -> Option<Timestamp> {
        (self.deadline != Timestamp::NEVER).then_some(self.deadline)
    }

    /// When it ends by itself: with its lease, or with its session where that is sooner.
    pub fn end(&self, of_session: Option<Timestamp>) -> Option<Timestamp> {
        self.lease().into_iter().chain(of_session).min()
    }

    pub fn is_of(&self, label: &str) -> bool {
        self.owner.label().is_some_and(|owner| **owner == *label)
    }

    pub fn request(&self) -> Option<RequestId> {
        self.claim.as_ref().and_then(|claim| claim.request)
    }

    pub fn unconfirmed(&self) -> Option<Incarnation> {
        self.claim.as_ref().and_then(|claim| claim.unconfirmed)
    }

    pub fn is_orphaned(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.orphaned)
    }

    /// Whether nobody knows of this hold if the attempt that brought this key is never answered.
    pub fn hangs_on(&self, attempt: HoldKey) -> bool {
        match &self.claim {
            Some(claim) => claim.attempt == Some(attempt),
            None => self.key == attempt,
        }
    }

    /// Drops a claim that says no more than none would.
    pub fn drop_empty_claim(&mut self) {
        let says_nothing =
            |claim: &Claim| claim.unconfirmed.is_none() && claim.request.is_none() && claim.attempt == Some(self.key);
        if self.claim.as_deref().is_some_and(says_nothing) {
            self.claim = None;
        }
    }
}

impl Owner {
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Owner::Session(session) => Some(*session),
            Owner::Bearer | Owner::Label(_) => None,
        }
    }

    pub fn label(&self) -> Option<&Arc<str>> {
        match self {
            Owner::Label(label) => Some(label),
            Owner::Bearer | Owner::Session(_) => None,
        }
    }
}

impl Lock {
    /// Whether a hold of this size fits beside those there are.
    pub fn has_room(&self, size: u32) -> bool {
        self.holds.is_empty() || (self.size == size && self.holds.len() < size as usize)
    }

    pub fn is_unused(&self) -> bool {
        self.holds.is_empty() && self.queue.is_empty()
    }

    /// Takes in what was just granted as if to a lock of its own: the newest hold decides the size.
    pub fn adopt(&mut self, granted: Lock) {
        self.size = granted.size;
        if granted.size_to_remember > 0 {
            self.size_to_remember = granted.size_to_remember;
        }
        self.expects(granted.next_due);
        self.holds.extend(granted.holds);
    }

    /// Notes a deadline that was added.
    pub fn expects(&mut self, deadline: Timestamp) {
        self.next_due = self.next_due.min(deadline);
    }

    /// Finds the bound anew after deadlines were removed.
    pub fn recompute_next_due(&mut self) {
        let holds = self.holds.iter().map(|hold| hold.deadline);
        let waiters = self.queue.iter().map(|(_, waiter)| waiter.deadline);
        self.next_due = holds.chain(waiters).min().unwrap_or(Timestamp::NEVER);
    }
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Place, &Waiter)> {
        self.0.iter().flat_map(|queue| queue.iter())
    }

    /// Whose turn is next. Those whose request was lost keep their places and are passed over: nobody would use the lock.
    pub fn first(&self) -> Option<(&Place, &Waiter)> {
        let mut present =
            self.0.as_ref()?.iter().filter(|(_, waiter)| !waiter.orphaned || mutants::on("lost-requests-granted"));
        if mutants::on("last-come-first-served") { present.next_back() } else { present.next() }
    }

    pub fn get(&self, place: &Place) -> Option<&Waiter> {
        self.0.as_ref().and_then(|queue| queue.get(place))
    }

    pub fn get_mut(&mut self, place: &Place) -> Option<&mut Waiter> {
        self.0.as_mut().and_then(|queue| queue.get_mut(place))
    }

    pub fn insert(&mut self, place: Place, waiter: Waiter) {
        self.0.get_or_insert_default().insert(place, waiter);
    }

    pub fn remove(&mut self, place: &Place) -> Option<Waiter> {
        let queue = self.0.as_mut()?;
        let removed = queue.remove(place);
        if queue.is_empty() {
            self.0 = None;
        }
        removed
    }

    /// Whether a newcomer of this priority would be first; the head may wait for another size.
    pub fn lets_pass(&self, priority: i32) -> bool {
        self.first().is_none_or(|((Reverse(first), _), _)| *first < priority)
    }

    /// How many are ahead of this place.
    pub fn ahead(&self, place: &Place) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.range(..place).count())
    }
}

impl Waiter {
    /// The command whose request is answered when the wait ends; `None` for a detached waiter, and for one whose
    /// request was lost.
    pub fn answered_by(&self) -> Option<CommandId> {
        (matches!(self.wait, Wait::Attached { .. }) && !self.orphaned).then_some(self.command)
    }
}
