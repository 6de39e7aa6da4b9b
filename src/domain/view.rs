//! What readers see: locks and sessions without ended holds and waiters.

use super::freezes::FrozenBy;
use super::ids::{Dialect, HoldKey, Name, SessionId, Token};
use super::locks::{Hold, Lock, Owner, Waiter};
use super::metadata::Metadata;
use super::quotas::{Counted, QuotaOf};
use super::refusal::{Pool, ShareOf};
use super::sessions::Session;
use super::terms::{SHARED, Terms};
use super::time::Timestamp;
use arcstr::ArcStr;
use std::sync::Arc;

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By one.
    Exclusive,
    /// By any number.
    Shared,
    /// By as many as its size says.
    Counted,
}

impl Mode {
    pub fn of(size: u32) -> Mode {
        match size {
            1 => Mode::Exclusive,
            SHARED => Mode::Shared,
            _ => Mode::Counted,
        }
    }

    /// The name in JSON, and in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Exclusive => "exclusive",
            Mode::Shared => "shared",
            Mode::Counted => "counted",
        }
    }
}

/// A lock with its live holds, oldest first.
#[derive(Clone, Debug)]
pub struct LockView {
    pub name: Name,
    pub size: u32,
    pub holds: Vec<HoldView>,
    pub waiters: u32,
    /// Until then nobody is granted it: a hold ended uncleanly.
    pub delayed_until: Option<Timestamp>,
    /// Nothing new is granted: where that was asked for.
    pub frozen: Option<Box<FrozenBy>>,
    /// Who waits, in order of their turns, where that was asked for.
    pub queue: Option<Vec<WaiterView>>,
}

#[derive(Clone, Debug)]
pub struct HoldView {
    pub key: HoldKey,
    pub token: Token,
    pub dialect: Dialect,
    pub session: Option<SessionId>,
    pub label: Option<ArcStr>,
    /// The number of the credential that took it; 0 without one.
    pub credential: u64,
    pub since: Timestamp,
    /// When the lease ends; `None` without one.
    pub deadline: Option<Timestamp>,
    /// When it ends unless its owner renews it, with its lease or with its session; `None` if never.
    pub ends: Option<Timestamp>,
    pub metadata: Metadata,
    pub terms: Option<Arc<Terms>>,
}

/// A live waiter, and its place in the queue.
#[derive(Clone, Debug)]
pub struct WaiterView {
    pub key: HoldKey,
    pub label: Option<ArcStr>,
    pub session: Option<SessionId>,
    pub dialect: Dialect,
    pub since: Timestamp,
    /// When the wait ends.
    pub deadline: Timestamp,
    /// Higher first.
    pub priority: i32,
    /// How many are ahead.
    pub position: u32,
    pub metadata: Metadata,
    /// What it asks for.
    pub size: u32,
    pub terms: Option<Arc<Terms>>,
    /// It holds the lock with others, and waits to be the only one.
    pub upgrades: bool,
    /// Its request was lost; its place is kept for a retry.
    pub orphaned: bool,
}

/// Who holds or waits.
#[derive(Clone, PartialEq, Debug)]
pub struct OwnerView {
    pub session: Option<SessionId>,
    /// Where it is a name and no proof.
    pub label: Option<ArcStr>,
    pub dialect: Dialect,
}

/// One owner waits for a lock that another one holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Blocking {
    pub name: Name,
    pub waiter: OwnerView,
    /// Since when it waits.
    pub since: Timestamp,
    pub by: OwnerView,
    pub token: Token,
}

/// What belongs to a session.
#[derive(Clone, Debug, Default)]
pub struct SessionParts {
    /// A hold of several names has one row.
    pub holds: Vec<(Token, Name)>,
    pub waits: Vec<Name>,
}

/// What a credential or an address uses of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShareView {
    pub pool: Pool,
    pub whose: ShareOf,
    pub used: u64,
    /// `None` where the pool alone bounds it.
    pub limit: Option<u64>,
}

/// What is used of a quota, and how much it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuotaUse {
    pub of: QuotaOf,
    pub counted: Counted,
    /// By whom it bounds; of the quota of each credential, the most that one of them uses.
    pub used: u64,
    pub limit: u64,
}

#[derive(Clone, Debug)]
pub struct SessionView {
    pub session: SessionId,
    pub idle_timeout_ms: u64,
    /// When it ends unless it is used; `None` while one of its requests waits.
    pub deadline: Option<Timestamp>,
    pub holds: u32,
    pub waiters: u32,
}

/// The table in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub locks: u64,
    pub holds: u64,
    pub waiters: u64,
    pub sessions: u64,
    pub remembered_sizes: u64,
    /// Idempotency keys that are remembered.
    pub idempotency_keys: u64,
    pub freezes: u64,
}

/// Which locks a listing shows; by default all.
#[derive(Clone, Debug)]
pub struct LockFilter {
    /// Only locks whose names start with any of these. No prefix contains another, and they are sorted.
    pub prefixes: Vec<String>,
    /// Only locks with (`true`) or without (`false`) a hold.
    pub held: Option<bool>,
    /// Only locks with (`true`) or without (`false`) waiters.
    pub contended: Option<bool>,
    /// Only locks in whose names this stands; empty: any.
    pub containing: String,
    /// Only elections: somebody leads, or waits to lead.
    pub elections: bool,
}

impl Default for LockFilter {
    fn default() -> LockFilter {
        let (prefixes, containing) = (vec![String::new()], String::new());
        LockFilter { prefixes, held: None, contended: None, containing, elections: false }
    }
}

impl HoldView {
    /// The names of a hold of several; none for any other.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.terms.iter().flat_map(|terms| &terms.names).map(|(name, _)| name)
    }
}

impl OwnerView {
    pub(super) fn of(owner: &Owner, dialect: Dialect) -> OwnerView {
        let label = owner.label().filter(|_| !dialect.has_secret_labels()).cloned();
        OwnerView { session: owner.session(), label, dialect }
    }
}

impl LockView {
    pub fn into_hold(self, key: HoldKey) -> Option<HoldView> {
        self.holds.into_iter().find(|hold| hold.key == key)
    }

    /// The lock at `now`, without what has ended; `None` if nothing is left. `live` finds sessions that have not ended.
    pub(super) fn of<'a>(
        name: &Name,
        lock: &Lock,
        now: Timestamp,
        live: impl Fn(SessionId) -> Option<&'a Session>,
    ) -> Option<LockView> {
        let is_owned = |owner: &Owner| owner.session().is_none_or(|id| live(id).is_some());
        let live_holds = lock.holds().iter().filter(|hold| !hold.deadline.is_past(now) && is_owned(&hold.owner));
        let session_end = |hold: &Hold| hold.owner.session().and_then(&live).map(|session| session.end_time(now));
        let holds: Vec<HoldView> = live_holds.map(|hold| HoldView::of(hold, session_end(hold))).collect();
        let waits = |waiter: &Waiter| !waiter.deadline.is_past(now) && is_owned(&waiter.owner);
        let waiters = lock.queue().iter().filter(|(_, waiter)| waits(waiter)).count() as u32;
        let delayed_until = lock.delay().map(|delay| delay.until).filter(|until| !until.is_past(now));
        let is_in_use = !holds.is_empty() || waiters > 0 || delayed_until.is_some();
        let (name, size) = (name.clone(), lock.size());
        is_in_use.then(|| LockView { name, size, holds, waiters, delayed_until, frozen: None, queue: None })
    }

    /// How it is held: a lock without holds as it was last.
    pub fn mode(&self) -> Mode {
        Mode::of(self.size)
    }

    /// About how many bytes a listing needs for it.
    pub fn shown_bytes(&self) -> usize {
        const ROW_BYTES: usize = 64;
        self.name.len() + ROW_BYTES + self.holds.iter().map(HoldView::shown_bytes).sum::<usize>()
    }
}

impl HoldView {
    fn of(hold: &Hold, session_end: Option<Timestamp>) -> HoldView {
        HoldView {
            key: hold.key,
            token: hold.token,
            dialect: hold.dialect,
            session: hold.owner.session(),
            label: hold.owner.label().cloned(),
            credential: hold.caller.credential,
            since: hold.since.into(),
            deadline: hold.deadline.moment(),
            ends: hold.end_time(session_end),
            metadata: hold.metadata.clone(),
            terms: hold.shared_terms(),
        }
    }

    /// The owner label, where it is a name and no proof.
    pub fn shown_label(&self) -> Option<&str> {
        self.label.as_deref().filter(|_| !self.dialect.has_secret_labels())
    }

    fn shown_bytes(&self) -> usize {
        const ROW_BYTES: usize = 250;
        let metadata: usize = self.metadata.iter().map(|(key, value)| key.len() + value.len() + 6).sum();
        let value = self.terms.as_ref().map_or(0, |terms| terms.text_bytes() as usize);
        ROW_BYTES + self.label.as_deref().map_or(0, str::len) + metadata + value
    }
}

impl WaiterView {
    /// The owner label, where it is a name and no proof.
    pub fn shown_label(&self) -> Option<&str> {
        self.label.as_deref().filter(|_| !self.dialect.has_secret_labels())
    }

    /// The waiters at `now`, in order of their turns.
    pub(super) fn all_of(lock: &Lock, now: Timestamp, is_live: impl Fn(SessionId) -> bool) -> Vec<WaiterView> {
        let waits = |waiter: &Waiter| !waiter.deadline.is_past(now) && waiter.owner.session().is_none_or(&is_live);
        let live = lock.queue().iter().filter(|(_, waiter)| waits(waiter));
        // Orphaned waiters are passed over, and so are not ahead of anybody.
        let mut position = 0;
        live.map(|(place, waiter)| {
            let view = WaiterView::of(place.0.0, waiter, position);
            position += u32::from(!waiter.is_orphaned());
            view
        })
        .collect()
    }

    fn of(priority: i32, waiter: &Waiter, position: u32) -> WaiterView {
        WaiterView {
            key: waiter.key,
            label: waiter.owner.label().cloned(),
            session: waiter.owner.session(),
            dialect: waiter.dialect,
            since: waiter.since,
            deadline: waiter.deadline,
            priority,
            position,
            metadata: waiter.metadata.clone(),
            size: waiter.size,
            terms: waiter.terms.clone(),
            upgrades: waiter.upgrades.is_some(),
            orphaned: waiter.is_orphaned(),
        }
    }
}

impl SessionView {
    pub(super) fn of(id: SessionId, session: &Session) -> SessionView {
        SessionView {
            session: id,
            idle_timeout_ms: session.idle_timeout_ms,
            deadline: (session.waiters == 0).then_some(session.deadline),
            holds: session.holds,
            waiters: session.waiters,
        }
    }
}

impl LockFilter {
    pub fn accepts(&self, lock: &LockView) -> bool {
        self.accepts_state(!lock.holds.is_empty(), lock.waiters)
    }

    /// The same of a lock with or without a hold and with so many waiters.
    pub(super) fn accepts_state(&self, held: bool, waiters: u32) -> bool {
        self.held.is_none_or(|wanted| wanted == held)
            && self.contended.is_none_or(|contended| contended == (waiters > 0))
    }

    /// It asks for locks of which there may be few among many.
    pub(super) fn is_selective(&self) -> bool {
        self.contended == Some(true) || self.held == Some(false) || self.elections || !self.containing.is_empty()
    }

    /// Whether it may accept this lock, as far as its records show without a look at what of them has ended.
    pub(super) fn may_accept(&self, name: &Name, lock: &Lock) -> bool {
        let is_election = || {
            lock.holds().iter().any(|hold| hold.value().is_some())
                || lock
                    .queue()
                    .iter()
                    .any(|(_, waiter)| waiter.terms.as_ref().is_some_and(|terms| terms.value.is_some()))
        };
        (self.contended != Some(true) || !lock.queue().is_empty())
            && (self.containing.is_empty() || name.contains(&*self.containing))
            && (!self.elections || is_election())
    }
}
