//! Sessions v1: readiness, sessions, and locks as the service answers them.

use std::time::Duration;

use reqwest::Method;

use super::call::Call;
use super::clock::Moment;
use super::core::Client;
use super::error::ClientError;
use super::retry::Patience;
use super::wire::{self, LockRequest, LockResult, Session, UnlockResult};

impl Client {
    /// Whether the service is ready: the URL that says so, which is the first one that answers; the error says why not.
    /// Asks once.
    pub async fn ready(&self) -> Result<String, ClientError> {
        let answer = self.send(&Call::new(Method::GET, "/readyz"), self.once()).await?;
        // A page that answers every address is not the service.
        match answer.text.trim() {
            "ready" => Ok(answer.url.trim_end_matches("/readyz").to_owned()),
            _ => Err(answer.astray("it does not say `ready`")),
        }
    }

    /// Opens a session; its cookie goes with every further call.
    pub async fn open_session(&self) -> Result<Session, ClientError> {
        let call = Call::new(Method::POST, "/session").once();
        let answer = self.send(&call, self.patience()).await?;
        let session: Session = answer.read()?;
        let idle_timeout = wire::idle_timeout(session.idle_timeout_seconds, &answer.headers);
        let session = Session { idle_timeout, ..session };
        *self.session() = Some(session.session_id.clone());
        Ok(session)
    }

    /// Ends the session, if one is open; all it holds is free.
    pub async fn close_session(&self) -> Result<(), ClientError> {
        if self.session().is_none() {
            return Ok(());
        }
        let closed = self.send(&Call::new(Method::DELETE, "/session"), self.patience()).await.map(drop);
        // It may have ended by itself, or the answer to a first attempt was lost.
        let gone = matches!(&closed, Err(error) if error.is_session_not_found());
        if closed.is_ok() || gone {
            *self.session() = None;
        }
        if gone { Ok(()) } else { closed }
    }

    /// Takes a lock, waiting as long as the request says: the plain answer of the service.
    /// [`Client::acquire`] also judges the lease and outlasts a failover.
    pub async fn lock(&self, request: &LockRequest) -> Result<LockResult, ClientError> {
        let call = self.call_for(request);
        let attempt = request.longest_wait().saturating_add(self.0.attempt_timeout);
        self.send(&call, Patience { attempt, ..self.patience() }).await?.about(request.name())
    }

    /// The call that takes a lock, once however often it is sent.
    pub(super) fn call_for(&self, request: &LockRequest) -> Call {
        let request = request.clone().with_default_metadata(&self.0.metadata);
        Call::new(Method::POST, "/v1/lock").json(&request).once()
    }

    /// Gives a hold back.
    pub async fn unlock(&self, name: &str, key: &str) -> Result<UnlockResult, ClientError> {
        self.unlock_once(name, key).await.map(|(result, _)| result)
    }

    /// As [`Client::unlock`]; whether it was held until now: a hold that is gone may have been given back by an earlier
    /// attempt of this call whose answer was lost.
    pub async fn give_back(&self, name: &str, key: &str) -> Result<bool, ClientError> {
        let (result, earlier) = self.unlock_once(name, key).await?;
        Ok(result.unlocked || earlier)
    }

    async fn unlock_once(&self, name: &str, key: &str) -> Result<(UnlockResult, bool), ClientError> {
        let call = Call::new(Method::POST, "/v1/unlock").json(&wire::Unlock { name, key });
        let answer = self.send(&call, self.patience()).await?;
        Ok((answer.about(name)?, answer.earlier))
    }

    /// Starts the lease of a hold anew with this length.
    pub async fn renew(&self, name: &str, key: &str, lease: Duration) -> Result<LockResult, ClientError> {
        self.renew_within(name, key, lease, self.patience()).await.map(|(result, _)| result)
    }

    /// As [`Client::renew`], with when the answered attempt was sent: the lease counts from there at the earliest.
    pub(super) async fn renew_within(
        &self,
        name: &str,
        key: &str,
        lease: Duration,
        patience: Patience,
    ) -> Result<(LockResult, Moment), ClientError> {
        let body = wire::Renew { name, key, lock_timeout_seconds: lease.as_secs_f64() };
        let answer = self.send(&Call::new(Method::POST, "/v1/renew").json(&body), patience).await?;
        let result: LockResult = answer.about(name)?;
        if result.locked && result.key != key {
            return Err(answer.astray("it speaks of another hold of the lock"));
        }
        Ok((result, answer.sent))
    }
}
