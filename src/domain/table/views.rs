//! What readers see of the table.

use super::Table;
use crate::domain::ids::{Caller, HoldKey, Incarnation, Name, NodeId, SessionId};
use crate::domain::locks::{Hold, Place};
use crate::domain::nodes::NodeRecord;
use crate::domain::outcome::{WaitNote, WaitStep};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::view::{Counts, LockView, SessionParts, SessionView, WaiterView};
use std::collections::{BTreeMap, BTreeSet};

impl Table {
    pub fn counts(&self) -> Counts {
        Counts {
            locks: self.locks.len() as u64,
            holds: self.locks.hold_count(),
            waiters: self.locks.waiter_count(),
            sessions: self.sessions.live_count(),
            remembered_sizes: self.remembered_sizes.len() as u64,
            idempotency_keys: self.idempotency_keys.len() as u64,
            freezes: self.freezes.len() as u64,
        }
    }

    /// A lock at `now`; `None` if it is free.
    pub fn lock_view(&self, name: &Name, now: Timestamp) -> Option<LockView> {
        LockView::of(name, self.locks.get(name)?, now, |session| self.sessions.live(session))
    }

    /// The waiters of a lock at `now`, in order of their turns.
    pub fn waiters_view(&self, name: &Name, now: Timestamp) -> Vec<WaiterView> {
        let is_live = |session| self.sessions.is_live(session);
        self.locks.get(name).map_or_else(Vec::new, |lock| WaiterView::all_of(lock, now, is_live))
    }

    /// How many wait for a lock, and since when the first of them does; `None` if nobody waits.
    pub fn queue_of(&self, name: &Name) -> Option<(u32, Timestamp)> {
        let queue = self.locks.get(name)?.queue();
        let (_, first) = queue.first()?;
        Some((queue.len() as u32, first.since))
    }

    /// All waits that have not ended, as they began.
    pub fn waits(&self) -> impl Iterator<Item = WaitNote> {
        let queues = self.locks.names().filter_map(|name| Some((name, self.locks.get(name)?.queue())));
        queues.flat_map(|(name, queue)| {
            queue.iter().map(|(_, waiter)| WaitNote {
                name: name.clone(),
                since: waiter.since,
                session: waiter.owner.session(),
                dialect: waiter.dialect,
                caller: waiter.caller,
                step: WaitStep::Begun,
            })
        })
    }

    pub fn session_view(&self, id: SessionId) -> Option<SessionView> {
        self.sessions.live(id).map(|session| SessionView::of(id, session))
    }

    /// The first holds and waits of a session, so many of each.
    pub fn parts_of(&self, session: SessionId, limit: usize) -> SessionParts {
        let holds = self.locks.holds_of(session).map(|(token, name)| (token, name.clone()));
        let waits = self.locks.waits_of(session).map(|(_, name)| name.clone());
        SessionParts { holds: holds.take(limit).collect(), waits: waits.take(limit).collect() }
    }

    pub fn is_live(&self, session: SessionId) -> bool {
        self.sessions.is_live(session)
    }

    /// Whether this caller may use a live session: with the credential that opened it, or any if it was opened without
    /// authentication.
    pub fn check_session_of(&self, id: SessionId, caller: Caller) -> Result<(), Refusal> {
        let session = self.sessions.live(id).ok_or(Refusal::SessionUnknown)?;
        let owner = session.caller.credential;
        if owner == 0 || owner == caller.credential { Ok(()) } else { Err(Refusal::SessionOfAnother) }
    }

    pub fn holds_of(&self, session: SessionId) -> u32 {
        self.sessions.live(session).map_or(0, |session| session.holds)
    }

    /// When this hold ends unless its owner renews it; `None` if never.
    pub(super) fn end_of(&self, hold: &Hold, now: Timestamp) -> Option<Timestamp> {
        let session = hold.owner.session().and_then(|id| self.sessions.get(id));
        hold.end_time(session.map(|session| session.end_time(now)))
    }

    /// The same for the hold with this key; `None` also if there is none.
    pub fn end_of_hold(&self, name: &Name, key: HoldKey, now: Timestamp) -> Option<Timestamp> {
        let mut holds = self.locks.get(name)?.holds().iter();
        self.end_of(holds.find(|hold| hold.key == key)?, now)
    }

    pub fn idle_timeouts_ms(&self) -> impl Iterator<Item = u64> {
        self.sessions.iter().map(|(_, session)| session.idle_timeout_ms)
    }

    /// The nodes that registered and were not forgotten.
    pub fn nodes(&self) -> &BTreeMap<NodeId, NodeRecord> {
        self.header.nodes.all()
    }

    /// The last command of this incarnation that was applied, 0 if none is recorded.
    pub fn last_sequence(&self, incarnation: Incarnation) -> u64 {
        self.header.nodes.last_sequence(incarnation)
    }

    /// The commands of this incarnation whose acquire waits in a queue.
    pub fn waiting_commands(&self, incarnation: Incarnation) -> BTreeSet<u64> {
        let command = |(name, place): &(Name, Place)| self.locks.get(name)?.queue().get(place)?.answered_by();
        self.locks.attached_to(incarnation).filter_map(command).map(|command| command.sequence).collect()
    }
}
