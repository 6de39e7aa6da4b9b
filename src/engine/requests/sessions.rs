//! Opening, closing and touching sessions.

use super::submitter::{Submitter, unexpected};
use crate::base::random::random_id;
use crate::domain::time::round_up_ms;
use crate::domain::{Caller, Command, Force, IdempotencyKey, Outcome, Refusal, SessionForce, SessionId};
use crate::engine::error::Fault;
use crate::engine::reads::Consistency;
use std::time::Duration;

impl Submitter {
    /// Opens a session that ends after so long without being seen; its id has 128 bits from the OS's generator.
    pub async fn open_session(
        &self,
        idle_timeout: Duration,
        idempotency_key: Option<IdempotencyKey>,
        caller: Caller,
    ) -> Result<SessionId, Fault> {
        let session = SessionId(random_id());
        let idle_timeout_ms = round_up_ms(idle_timeout);
        let open = Command::OpenSession { session, idle_timeout_ms, idempotency_key, caller };
        self.check_capacity(&open)?;
        match self.run(open).await? {
            Outcome::SessionOpened { session } => Ok(session),
            other => Err(unexpected(other)),
        }
    }

    /// With `force`, another than its client closes it.
    pub async fn close_session(&self, session: SessionId, force: Option<Force>) -> Result<(), Fault> {
        let force = force.map(|force| SessionForce(Box::new(force)));
        match self.run(Command::CloseSession { session, force }).await? {
            Outcome::SessionClosed => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    pub async fn touch_session(&self, session: SessionId) -> Result<(), Fault> {
        self.health.check_may_serve()?;
        // A session that is live here may have ended elsewhere, and then the touch changes nothing. One that is not live
        // here may have been opened elsewhere.
        if !self.host.table().is_live(session) {
            self.reader.read_barrier(Consistency::Linearizable).await?;
            if !self.host.table().is_live(session) {
                return Err(Refusal::SessionUnknown.into());
            }
        }
        self.queue.touch(session);
        Ok(())
    }

    /// Refuses a session of another caller, and one that no node knows. The owner of a session never changes.
    pub async fn check_session_of(&self, session: SessionId, caller: Caller) -> Result<(), Fault> {
        let checked = self.host.table().check_session_of(session, caller);
        if checked != Err(Refusal::SessionUnknown) {
            return Ok(checked?);
        }
        // It may have been opened on another node. In a box: most requests do not come here.
        Box::pin(self.reader.read_barrier(Consistency::Linearizable)).await?;
        Ok(self.host.table().check_session_of(session, caller)?)
    }
}
