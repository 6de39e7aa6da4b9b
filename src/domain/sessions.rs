//! Sessions and their idle times. A session that has ended stays until its holds and waiters are cleared.

use super::command::SessionForce;
use super::cow_map::{CowMap, FrozenMap, ShardKey, stable_hash};
use super::ids::{Caller, IdempotencyId, SessionId};
use super::time::Timestamp;
use std::collections::BTreeSet;

impl ShardKey for SessionId {
    fn shard_hash(&self) -> u64 {
        stable_hash(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub idle_timeout_ms: u64,
    /// When it ends unless it is touched. Kept, but not watched, while one of its requests waits.
    pub deadline: Timestamp,
    /// The deadline under which it is watched: this one or an earlier one. Not in a snapshot.
    pub watched: Timestamp,
    /// It counts as gone everywhere, and is removed once its holds and waiters are.
    pub ended: bool,
    /// It ended because it was idle for too long: its end is not a clean one.
    pub timed_out: Option<TimedOut>,
    /// Who ended it, if not its client.
    pub force: Option<SessionForce>,
    /// The request whose retry is given this session again.
    pub idempotency_id: Option<IdempotencyId>,
    /// Who opened it.
    pub caller: Caller,
    /// Its holds and waiters, including those that have ended and are not removed yet. Not in a snapshot.
    pub holds: u32,
    pub waiters: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimedOut;

#[derive(Default)]
pub struct Sessions {
    map: CowMap<SessionId, Session>,
    /// Sessions by the deadline under which they are watched; a session that waits is not.
    idle: BTreeSet<(Timestamp, SessionId)>,
    /// Ended sessions that may still have holds or waiters.
    ended: BTreeSet<SessionId>,
}

/// A session is watched under its new deadline once that is an eighth of its idle timeout later: most touches then leave the
/// order of the sessions alone, which is most of what a touch costs.
const LAG_DIVISOR: u64 = 8;

impl Session {
    /// When it ends unless it is used. A session that waits is not idle: its time starts when the wait ends, which may
    /// be now.
    pub fn end_time(&self, now: Timestamp) -> Timestamp {
        if self.waiters == 0 { self.deadline } else { now.after_ms(self.idle_timeout_ms) }
    }
}

impl Sessions {
    /// Ended sessions count until they are removed.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn live_count(&self) -> u64 {
        (self.map.len() - self.ended.len()) as u64
    }

    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.map.get(&id)
    }

    pub fn live(&self, id: SessionId) -> Option<&Session> {
        self.map.get(&id).filter(|session| !session.ended)
    }

    pub fn is_live(&self, id: SessionId) -> bool {
        self.live(id).is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&SessionId, &Session)> {
        self.map.iter()
    }

    pub fn live_ids(&self) -> Vec<SessionId> {
        self.map.iter().filter(|(_, session)| !session.ended).map(|(id, _)| *id).collect()
    }

    pub fn freeze(&self) -> FrozenMap<SessionId, Session> {
        self.map.freeze()
    }

    /// When the first idle session may end; no session ends before.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.idle.first().map(|(end, _)| *end)
    }

    /// The session that has been idle for too long, the one with the earliest deadline first. What was touched since it is
    /// watched goes back to its place.
    pub fn due(&mut self, now: Timestamp) -> Option<SessionId> {
        while let Some((watched, id)) = self.idle.first().copied().filter(|(end, _)| end.is_past(now)) {
            if self.map.get(&id).is_some_and(|session| session.deadline == watched) {
                return Some(id);
            }
            self.idle.pop_first();
            self.watch(id);
        }
        None
    }

    /// Watches a session under its present deadline.
    fn watch(&mut self, id: SessionId) {
        let Some(session) = self.map.get_mut(&id) else { return };
        self.idle.remove(&(session.watched, id));
        session.watched = session.deadline;
        self.idle.insert((session.watched, id));
    }

    /// Keeps who ended a session, until its holds are ended too.
    pub fn set_force(&mut self, id: SessionId, force: Option<SessionForce>) {
        if force.is_some()
            && let Some(session) = self.map.get_mut(&id)
        {
            session.force = force;
        }
    }

    /// An ended session that is not removed yet.
    pub fn first_ended(&self) -> Option<SessionId> {
        self.ended.first().copied()
    }

    /// Adds a session; whether it is new.
    pub fn insert(&mut self, id: SessionId, session: Session) -> bool {
        let ended = session.ended;
        let is_new = self.map.insert(id, session).is_none();
        if ended {
            self.ended.insert(id);
        } else {
            self.watch(id);
        }
        is_new
    }

    /// Restarts the idle time. An ended session stays ended.
    pub fn touch(&mut self, id: SessionId, now: Timestamp) {
        let Some(session) = self.map.get(&id) else { return };
        let deadline = now.after_ms(session.idle_timeout_ms);
        if session.ended || session.deadline == deadline {
            return;
        }
        let Some(session) = self.map.get_mut(&id) else { return };
        session.deadline = deadline;
        // Only a forged snapshot has a deadline that a touch brings forward.
        let is_early = deadline < session.watched;
        let lag_ms = deadline.0.saturating_sub(session.watched.0);
        if session.waiters == 0 && (is_early || lag_ms > session.idle_timeout_ms / LAG_DIVISOR) {
            self.watch(id);
        }
    }

    /// Marks a session ended and returns it: from here on its holds count as free and its waiters as gone.
    pub fn mark_ended(&mut self, id: SessionId, timed_out: Option<TimedOut>) -> Option<&mut Session> {
        let session = self.map.get_mut(&id)?;
        (session.ended, session.timed_out) = (true, timed_out);
        self.idle.remove(&(session.watched, id));
        self.ended.insert(id);
        Some(session)
    }

    pub fn remove_ended(&mut self, id: SessionId) -> Option<Session> {
        self.ended.remove(&id);
        self.map.remove(&id)
    }

    pub fn add_hold(&mut self, id: SessionId) {
        if let Some(session) = self.map.get_mut(&id) {
            session.holds = session.holds.saturating_add(1);
        }
    }

    pub fn remove_hold(&mut self, id: SessionId) {
        if let Some(session) = self.map.get_mut(&id) {
            session.holds = session.holds.saturating_sub(1);
        }
    }

    /// A session that waits is not idle.
    pub fn add_waiter(&mut self, id: SessionId) {
        if let Some(session) = self.map.get_mut(&id) {
            session.waiters = session.waiters.saturating_add(1);
            self.idle.remove(&(session.watched, id));
        }
    }

    /// When the last wait of a live session ends, its idle time restarts.
    pub fn remove_waiter(&mut self, id: SessionId, now: Timestamp) {
        let Some(session) = self.map.get_mut(&id) else { return };
        session.waiters = session.waiters.saturating_sub(1);
        if session.waiters == 0 && !session.ended {
            session.deadline = now.after_ms(session.idle_timeout_ms);
            self.watch(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionId = SessionId([1; 16]);
    const IDLE_MS: u64 = 80;

    fn sessions(deadline: u64) -> Sessions {
        let mut sessions = Sessions::default();
        let (deadline, watched) = (Timestamp(deadline), Timestamp(0));
        let (idempotency_id, caller) = (None, Caller::NOBODY);
        let session = Session {
            idle_timeout_ms: IDLE_MS,
            deadline,
            watched,
            ended: false,
            timed_out: None,
            force: None,
            idempotency_id,
            caller,
            holds: 0,
            waiters: 0,
        };
        sessions.insert(ID, session);
        sessions
    }

    /// The moment from which on it is due.
    fn ends(sessions: &mut Sessions) -> Option<u64> {
        (0..1_000).find(|now| sessions.due(Timestamp(*now)) == Some(ID))
    }

    #[test]
    fn touched_session_ends_when_idle_for_its_timeout() {
        for touched in 0..=IDLE_MS {
            let mut sessions = sessions(IDLE_MS);
            (0..=touched).for_each(|now| sessions.touch(ID, Timestamp(now)));
            assert_eq!(ends(&mut sessions), Some(touched + IDLE_MS + 1), "touched until {touched}");
        }
    }

    #[test]
    fn session_is_watched_again_when_its_deadline_is_an_eighth_later() {
        let lag = IDLE_MS / LAG_DIVISOR;
        for (touched, watched) in [(1, IDLE_MS), (lag, IDLE_MS), (lag + 1, IDLE_MS + lag + 1)] {
            let mut sessions = sessions(IDLE_MS);
            sessions.touch(ID, Timestamp(touched));
            assert_eq!(sessions.next_deadline(), Some(Timestamp(watched)), "touched at {touched}");
        }
    }

    #[test]
    fn touch_brings_a_forged_deadline_forward() {
        let mut sessions = sessions(1_000_000);
        sessions.touch(ID, Timestamp(10));
        assert_eq!(ends(&mut sessions), Some(10 + IDLE_MS + 1));
    }
}
