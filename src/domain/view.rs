//! What readers see: locks and sessions as they count now, ended holds and waiters left out.

use super::ids::{Dialect, HoldKey, Name, SessionId, Token};
use super::lock::{Hold, Lock, Owner, Waiter};
use super::metadata::Metadata;
use super::session::Session;
use super::table::Table;
use super::time::Timestamp;
use std::sync::Arc;

/// A lock with its live holds, oldest first.
#[derive(Clone, Debug)]
pub struct LockView {
    pub name: Name,
    pub size: u32,
    pub holds: Vec<HoldView>,
    pub waiters: u32,
}

#[derive(Clone, Debug)]
pub struct HoldView {
    pub key: HoldKey,
    pub token: Token,
    pub dialect: Dialect,
    pub session: Option<SessionId>,
    pub label: Option<Arc<str>>,
    pub since: Timestamp,
    /// When the lease ends; `None` without one.
    pub deadline: Option<Timestamp>,
    /// When it ends if nothing more is heard of its owner: with its lease or with its session; `None` if never.
    pub ends: Option<Timestamp>,
    pub metadata: Metadata,
}

/// A live waiter, with its place among the others.
#[derive(Clone, Debug)]
pub struct WaiterView {
    pub key: HoldKey,
    pub label: Option<Arc<str>>,
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
    /// Its request was lost: its place is kept for a retry.
    pub orphaned: bool,
}

#[derive(Clone, Debug)]
pub struct SessionView {
    pub session: SessionId,
    pub idle_timeout_ms: u64,
    /// When it ends if nothing more is heard; `None` while one of its requests waits.
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
    /// Idempotency keys that are kept.
    pub requests: u64,
}

/// Which locks a listing shows.
#[derive(Clone, Debug, Default)]
pub struct LockFilter {
    pub prefix: String,
    /// Only locks with (`true`) or without (`false`) a hold.
    pub held: Option<bool>,
    /// Only locks with (`true`) or without (`false`) waiters.
    pub contended: Option<bool>,
}

impl Lock {
    /// This lock as it counts at `now`: what has ended is left out. `None` if nothing is left.
    /// `live` finds the sessions that have not ended.
    pub(super) fn view<'a>(
        &self,
        name: &Name,
        now: Timestamp,
        live: impl Fn(SessionId) -> Option<&'a Session>,
    ) -> Option<LockView> {
        let owned_by_live = |owner: &Owner| owner.session().is_none_or(|id| live(id).is_some());
        let holds: Vec<HoldView> = self
            .holds
            .iter()
            .filter(|hold| !hold.deadline.is_past(now) && owned_by_live(&hold.owner))
            .map(|hold| hold_view(hold, hold.owner.session().and_then(&live).map(|session| session.end(now))))
            .collect();
        let waits = |waiter: &Waiter| !waiter.deadline.is_past(now) && owned_by_live(&waiter.owner);
        let waiters = self.queue.iter().filter(|(_, waiter)| waits(waiter)).count() as u32;
        let in_use = !holds.is_empty() || waiters > 0;
        in_use.then(|| LockView { name: name.clone(), size: self.size, holds, waiters })
    }
}

impl Lock {
    /// Who waits at `now`, in the order of their turns.
    pub(super) fn waiters_view(&self, now: Timestamp, is_live: impl Fn(SessionId) -> bool) -> Vec<WaiterView> {
        let waits = |waiter: &Waiter| !waiter.deadline.is_past(now) && waiter.owner.session().is_none_or(&is_live);
        let live = self.queue.iter().filter(|(_, waiter)| waits(waiter));
        // Whoever may yet ask again is passed over, and so does not stand before anybody.
        let mut position = 0;
        live.map(|(place, waiter)| {
            let view = waiter_view(place.0.0, waiter, position);
            position += u32::from(!waiter.orphaned);
            view
        })
        .collect()
    }
}

fn waiter_view(priority: i32, waiter: &Waiter, position: u32) -> WaiterView {
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
        orphaned: waiter.orphaned,
    }
}

fn hold_view(hold: &Hold, session_ends: Option<Timestamp>) -> HoldView {
    HoldView {
        key: hold.key,
        token: hold.token,
        dialect: hold.dialect,
        session: hold.owner.session(),
        label: hold.owner.label().cloned(),
        since: hold.since,
        deadline: hold.lease(),
        ends: hold.end(session_ends),
        metadata: hold.metadata.clone(),
    }
}

impl Table {
    /// A lock as it counts at `now`; `None` if it is free.
    pub fn lock_view(&self, name: &Name, now: Timestamp) -> Option<LockView> {
        self.locks.get(name)?.view(name, now, |session| self.live(session))
    }

    /// Who waits for a lock at `now`, in the order of their turns.
    pub fn waiters_view(&self, name: &Name, now: Timestamp) -> Vec<WaiterView> {
        let lock = self.locks.get(name);
        lock.map_or_else(Vec::new, |lock| lock.waiters_view(now, |session| self.is_live(session)))
    }
}

impl LockView {
    /// About as many bytes as a listing shows of it.
    pub fn shown_bytes(&self) -> usize {
        const ROW_BYTES: usize = 64;
        self.name.len() + ROW_BYTES + self.holds.iter().map(HoldView::shown_bytes).sum::<usize>()
    }
}

impl HoldView {
    fn shown_bytes(&self) -> usize {
        const ROW_BYTES: usize = 250;
        let metadata: usize = self.metadata.iter().map(|(key, value)| key.len() + value.len() + 6).sum();
        ROW_BYTES + self.label.as_deref().map_or(0, str::len) + metadata
    }
}

impl LockFilter {
    pub fn accepts(&self, lock: &LockView) -> bool {
        let held = self.held.is_none_or(|held| held != lock.holds.is_empty());
        held && self.contended.is_none_or(|contended| contended == (lock.waiters > 0))
    }
}
