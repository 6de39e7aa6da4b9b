//! Sessions are opened and closed.

use super::{CommandResult, Effects, Table};
use crate::domain::command::SessionForce;
use crate::domain::idempotency::IdempotencyResult;
use crate::domain::ids::{Caller, IdempotencyKey, SessionId};
use crate::domain::limits::Feature;
use crate::domain::outcome::{Event, Outcome};
use crate::domain::refusal::Refusal;
use crate::domain::sessions::{Session, TimedOut};
use crate::domain::usage::Usage;

impl Table {
    pub(super) fn open_session(
        &mut self,
        id: SessionId,
        idle_timeout_ms: u64,
        key: Option<IdempotencyKey>,
        caller: Caller,
    ) -> CommandResult {
        let key = key.filter(|_| self.supports(Feature::Clusters));
        match key.map_or(Ok(None), |key| self.recall(key))? {
            Some(IdempotencyResult::Session(session)) => {
                self.sessions.touch(session, self.header.now);
                return Ok(Outcome::SessionOpened { session });
            }
            Some(_) => return Err(Refusal::RequestReused),
            None => {}
        }
        if self.sessions.get(id).is_some() {
            return Err(Refusal::SessionExists);
        }
        self.check_opening(key, caller)?;
        let (deadline, idempotency_id) = (self.header.now.after_ms(idle_timeout_ms), key.map(|key| key.id));
        let (watched, ended, timed_out, force, holds, waiters) = (deadline, false, None, None, 0, 0);
        let session = Session {
            idle_timeout_ms,
            deadline,
            watched,
            ended,
            timed_out,
            force,
            idempotency_id,
            caller,
            holds,
            waiters,
        };
        self.sessions.insert(id, session);
        self.usages.add(caller, Usage::SESSION);
        if let Some(key) = key {
            self.record_result(key, caller, IdempotencyResult::Session(id));
        }
        Ok(Outcome::SessionOpened { session: id })
    }

    /// Whether this caller may have one more session.
    pub(super) fn check_opening(&self, key: Option<IdempotencyKey>, caller: Caller) -> Result<(), Refusal> {
        let limit = self.header.limits.sessions_max;
        if self.sessions.len() as u64 >= limit {
            return Err(Refusal::SessionsFull { limit });
        }
        self.check_idempotency_keys(key)?;
        self.check_usage(caller, Usage::of_new_session(key.is_some()))
    }

    pub(super) fn close_session(
        &mut self,
        effects: &mut Effects,
        id: SessionId,
        force: Option<SessionForce>,
    ) -> CommandResult {
        if !self.sessions.is_live(id) {
            return Err(Refusal::SessionUnknown);
        }
        self.end_session(effects, id, None);
        let force = force.filter(|_| self.supports(Feature::Quotas));
        self.sessions.set_force(id, force);
        Ok(Outcome::SessionClosed)
    }

    pub(super) fn end_session(&mut self, effects: &mut Effects, id: SessionId, timed_out: Option<TimedOut>) {
        let timed_out_kept = timed_out.filter(|_| self.supports(Feature::Modes));
        let Some(session) = self.sessions.mark_ended(id, timed_out_kept) else { return };
        if let Some(id) = session.idempotency_id.take() {
            self.idempotency_keys.end(id, &mut self.usages);
        }
        effects.events.push(Event::SessionEnded { session: id, idle: timed_out.is_some() });
    }
}
