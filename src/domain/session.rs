//! Sessions: opened, touched, ended; their holds and waiters are swept in bounded batches.

use super::caller::Caller;
use super::cow::{ShardKey, stable_hash};
use super::idempotency::Made;
use super::ids::{HoldKey, IdempotencyKey, Name, RequestId, SessionId};
use super::lock::Hold;
use super::outcome::{Event, Outcome, Refusal};
use super::table::{Run, Table};
use super::time::Timestamp;
use super::usage::Usage;
use super::view::SessionView;

impl ShardKey for SessionId {
    fn shard_hash(&self) -> u64 {
        stable_hash(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub idle_timeout_ms: u64,
    /// When it ends unless touched. Kept while a request of it waits, but not watched.
    pub deadline: Timestamp,
    /// Ended: counts as gone wherever it is looked at, and is removed when swept.
    pub ended: bool,
    /// The request that is given this session again when it is retried.
    pub request: Option<RequestId>,
    /// Who opened it.
    pub caller: Caller,
    /// Its holds and waiters, ended ones included until they are swept. Not in a snapshot: counted anew.
    pub holds: u32,
    pub waiters: u32,
}

impl Table {
    pub fn is_live(&self, session: SessionId) -> bool {
        self.live(session).is_some()
    }

    pub(super) fn live(&self, session: SessionId) -> Option<&Session> {
        self.sessions.get(&session).filter(|session| !session.ended)
    }

    /// Whether this caller may use a live session: one that opened it with the same credential, or anybody where nobody
    /// had to say who they are.
    pub fn check_session_of(&self, id: SessionId, caller: Caller) -> Result<(), Refusal> {
        let session = self.live(id).ok_or(Refusal::SessionUnknown)?;
        let owner = session.caller.credential;
        if owner == 0 || owner == caller.credential { Ok(()) } else { Err(Refusal::SessionOfAnother) }
    }

    /// How many holds a live session has.
    pub fn holds_of(&self, session: SessionId) -> u32 {
        self.sessions.get(&session).map_or(0, |session| if session.ended { 0 } else { session.holds })
    }

    /// When this hold ends if nothing more is heard of its owner; `None` if never.
    pub(super) fn end_of(&self, hold: &Hold, now: Timestamp) -> Option<Timestamp> {
        let session = hold.owner.session().and_then(|id| self.sessions.get(&id));
        hold.end(session.map(|session| session.end(now)))
    }

    /// The same for the hold that this key opens; `None` also where there is none.
    pub fn end_of_hold(&self, name: &Name, key: HoldKey, now: Timestamp) -> Option<Timestamp> {
        let lock = self.locks.get(name)?;
        self.end_of(lock.holds.iter().find(|hold| hold.key == key)?, now)
    }

    /// The idle timeouts of all sessions.
    pub fn idle_timeouts_ms(&self) -> impl Iterator<Item = u64> {
        self.sessions.iter().map(|(_, session)| session.idle_timeout_ms)
    }

    pub(super) fn open_session(
        &mut self,
        id: SessionId,
        idle_timeout_ms: u64,
        request: Option<IdempotencyKey>,
        caller: Caller,
    ) -> Outcome {
        let request = request.filter(|_| self.knows_clusters());
        match request.and_then(|key| self.recall(key)) {
            Some(Ok(Made::Session(session))) => {
                self.touch_session(session);
                return Outcome::SessionOpened { session };
            }
            Some(Ok(_)) => return Outcome::Refused(Refusal::RequestReused),
            Some(Err(refusal)) => return Outcome::Refused(refusal),
            None => {}
        }
        if self.sessions.get(&id).is_some() {
            return Outcome::Refused(Refusal::SessionExists);
        }
        if let Err(refusal) = self.check_opening(request, caller) {
            return Outcome::Refused(refusal);
        }
        let deadline = self.now.after_ms(idle_timeout_ms);
        let (request_id, ended) = (request.map(|request| request.id), false);
        let session = Session { idle_timeout_ms, deadline, ended, request: request_id, caller, holds: 0, waiters: 0 };
        self.sessions.insert(id, session);
        self.index.usages.add(caller, Usage::SESSION);
        self.index.sessions.insert((deadline, id));
        self.note_request(request, caller, Made::Session(id));
        Outcome::SessionOpened { session: id }
    }

    /// Whether this caller may have one more session.
    pub(super) fn check_opening(&self, request: Option<IdempotencyKey>, caller: Caller) -> Result<(), Refusal> {
        self.check_sessions()?;
        self.check_requests(request)?;
        self.check_usage(caller, Usage::SESSION.and(Usage::of_key(request, 0)))
    }

    /// Whether one more session can be kept.
    fn check_sessions(&self) -> Result<(), Refusal> {
        let limit = self.limits.sessions_max;
        if self.sessions.len() as u64 >= limit { Err(Refusal::SessionsFull { limit }) } else { Ok(()) }
    }

    pub(super) fn close_session(&mut self, run: &mut Run, id: SessionId) -> Outcome {
        if !self.is_live(id) {
            return Outcome::Refused(Refusal::SessionUnknown);
        }
        self.end_session(run, id, false);
        Outcome::SessionClosed
    }

    /// Starts the idle time anew. An ended session stays ended.
    pub(super) fn touch_session(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.sessions.get(&id) else { return };
        let deadline = now.after_ms(session.idle_timeout_ms);
        if session.ended || session.deadline == deadline {
            return;
        }
        let watched = self.index.sessions.remove(&(session.deadline, id));
        if let Some(session) = self.sessions.get_mut(&id) {
            session.deadline = deadline;
        }
        if watched {
            self.index.sessions.insert((deadline, id));
        }
    }

    /// Marks it ended: from here on its holds count as free and its waiters as gone.
    pub(super) fn end_session(&mut self, run: &mut Run, id: SessionId, idle: bool) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.ended = true;
        let (deadline, request) = (session.deadline, session.request.take());
        request.into_iter().for_each(|request| self.end_request(request));
        self.index.sessions.remove(&(deadline, id));
        self.index.ended_sessions.insert(id);
        run.events.push(Event::SessionEnded { session: id, idle });
    }

    /// Counts one more hold of it.
    pub(super) fn count_hold(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.holds = session.holds.saturating_add(1);
        }
    }

    pub(super) fn discount_hold(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.holds = session.holds.saturating_sub(1);
        }
    }

    /// Counts one more waiter of it: a session that waits is not idle.
    pub(super) fn count_waiter(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.waiters = session.waiters.saturating_add(1);
            self.index.sessions.remove(&(session.deadline, id));
        }
    }

    /// When the last wait of a live session ends, its idle time starts anew.
    pub(super) fn discount_waiter(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.waiters = session.waiters.saturating_sub(1);
        if session.waiters == 0 && !session.ended {
            session.deadline = now.after_ms(session.idle_timeout_ms);
            self.index.sessions.insert((session.deadline, id));
        }
    }

    /// A leadership begins: what was seen since the last entry is lost, so every idle time starts anew.
    pub(super) fn touch_all_sessions(&mut self) {
        let live: Vec<SessionId> =
            self.sessions.iter().filter(|(_, session)| !session.ended).map(|(id, _)| *id).collect();
        live.into_iter().for_each(|id| self.touch_session(id));
    }

    /// A live session.
    pub fn session_view(&self, id: SessionId) -> Option<SessionView> {
        let session = self.sessions.get(&id).filter(|session| !session.ended)?;
        Some(session.view(id))
    }
}

impl Session {
    /// When it ends if nothing more is heard of it. One that waits is not idle: its time begins with the wait's end,
    /// which may be now.
    pub fn end(&self, now: Timestamp) -> Timestamp {
        if self.waiters == 0 { self.deadline } else { now.after_ms(self.idle_timeout_ms) }
    }

    pub fn view(&self, session: SessionId) -> SessionView {
        SessionView {
            session,
            idle_timeout_ms: self.idle_timeout_ms,
            deadline: (self.waiters == 0).then_some(self.deadline),
            holds: self.holds,
            waiters: self.waiters,
        }
    }
}
