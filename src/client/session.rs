//! Sessions v1: readiness, sessions, locks.

use std::time::Duration;

use reqwest::Method;

use super::call::Call;
use super::clock::Moment;
use super::core::Client;
use super::election;
use super::error::ClientError;
use super::hold::AcquiredLock;
use super::names::{HoldRequest, Names};
use super::retry::RetryPolicy;
use super::wire::{self, LockRequest, LockResult, Session, UnlockResult};

impl Client {
    /// The first URL that answers that it is ready; the error says why none is. Tries each URL once.
    pub async fn ready(&self) -> Result<String, ClientError> {
        let answer = self.send(&Call::new(Method::GET, "/readyz"), self.once()).await?;
        // A server that answers every path with a page is not the service.
        match answer.text.trim() {
            "ready" => Ok(answer.url.trim_end_matches("/readyz").to_owned()),
            _ => Err(answer.wrong_response("it does not say `ready`")),
        }
    }

    /// Opens a session; every further call has its cookie.
    pub async fn open_session(&self) -> Result<Session, ClientError> {
        let call = Call::new(Method::POST, "/session").once();
        let answer = self.send(&call, self.retry_policy()).await?;
        let session: Session = answer.read()?;
        let idle_timeout = wire::idle_timeout(session.idle_timeout_seconds, &answer.headers);
        let session = Session { idle_timeout, ..session };
        *self.0.session.lock() = Some(session.session_id.clone());
        Ok(session)
    }

    /// Ends the session, if one is open, and all its holds.
    pub async fn close_session(&self) -> Result<(), ClientError> {
        if self.0.session.lock().is_none() {
            return Ok(());
        }
        let closed = self.send(&Call::new(Method::DELETE, "/session"), self.retry_policy()).await.map(drop);
        // It may have ended by itself, or the answer to a first attempt was lost.
        if closed.as_ref().is_err_and(|error| !error.is_session_not_found()) {
            return closed;
        }
        *self.0.session.lock() = None;
        Ok(())
    }

    /// Sends one request for a lock; [`Client::acquire`] also checks the lease and outlasts a failover.
    pub async fn lock(&self, request: &LockRequest) -> Result<LockResult, ClientError> {
        let call = self.call_for(request);
        let attempt = request.longest_wait().saturating_add(self.0.settings.attempt_timeout);
        self.send(&call, RetryPolicy { attempt, ..self.retry_policy() }).await?.about(request.names().first())
    }

    /// The call for a lock, with an idempotency key.
    pub(super) fn call_for(&self, request: &LockRequest) -> Call {
        let request = request.clone().with_default_metadata(&self.0.metadata);
        match request.campaign_body() {
            None => Call::new(Method::POST, "/v1/lock").json(&request).once(),
            Some(body) => {
                Call::new(Method::POST, election::PATH).query("name", request.names().first()).json(&body).once()
            }
        }
    }

    pub async fn unlock(&self, name: &str, key: &str) -> Result<UnlockResult, ClientError> {
        self.release(&name.into(), key).await.map(|(result, _)| result)
    }

    /// Releases a hold of several locks, or of one.
    pub async fn unlock_all(&self, names: &[String], key: &str) -> Result<UnlockResult, ClientError> {
        self.release(&names.to_vec().into(), key).await.map(|(result, _)| result)
    }

    /// As [`Client::unlock_all`], with whether it was held until now: an earlier attempt whose answer was lost may have
    /// released it.
    pub async fn release_hold(&self, hold: &AcquiredLock) -> Result<(UnlockResult, bool), ClientError> {
        self.release(&hold.names.clone().into(), &hold.key).await
    }

    async fn release(&self, names: &Names, key: &str) -> Result<(UnlockResult, bool), ClientError> {
        let body = HoldRequest { names, key, lock_timeout_seconds: None };
        let answer = self.send(&Call::new(Method::POST, "/v1/unlock").json(&body), self.retry_policy()).await?;
        let result: UnlockResult = answer.about(names.first())?;
        let was_held = result.unlocked || answer.earlier;
        Ok((result, was_held))
    }

    /// Starts the lease of a hold again, with this length.
    pub async fn renew(&self, name: &str, key: &str, lease: Duration) -> Result<LockResult, ClientError> {
        self.renew_with(&name.into(), key, lease, self.retry_policy()).await.map(|(result, _)| result)
    }

    /// Starts the lease of a hold again, with the length that it has; nothing changes without one.
    pub async fn renew_hold(&self, hold: &AcquiredLock) -> Result<LockResult, ClientError> {
        let lease = hold.lease.unwrap_or_default();
        self.renew_with(&hold.names.clone().into(), &hold.key, lease, self.retry_policy())
            .await
            .map(|(result, _)| result)
    }

    /// As [`Client::renew`], with the moment before the request was sent, from which the lease counts.
    pub(super) async fn renew_with(
        &self,
        names: &Names,
        key: &str,
        lease: Duration,
        policy: RetryPolicy,
    ) -> Result<(LockResult, Moment), ClientError> {
        let body = HoldRequest { names, key, lock_timeout_seconds: Some(lease.as_secs_f64()) };
        let answer = self.send(&Call::new(Method::POST, "/v1/renew").json(&body), policy).await?;
        let result: LockResult = answer.about(names.first())?;
        if result.locked && result.key != key {
            return Err(answer.wrong_response("it speaks of another hold of the lock"));
        }
        Ok((result, answer.sent))
    }
}
