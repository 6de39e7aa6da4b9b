//! Taking a lock so that its lease can be trusted, through failovers and however long it takes.

use std::time::Duration;

use super::clock::Moment;
use super::retry::Patience;
use super::wire::{LockRequest, LockResult};
use super::{Client, ClientError};

/// How long one request of a wait stays open: less than the idle time after which balancers close connections (60 s
/// is common). The next one carries the same idempotency key and so takes the old place in the queue.
const SLICE: Duration = Duration::from_secs(50);

/// How long after the end of a wait the service may still be about to say so.
const LAST_WORD: Duration = Duration::from_secs(5);

/// The error code of a wait that ended without the lock.
const WAIT_TIMEOUT: &str = "LockWaitTimeout";

/// A lock that is held.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    pub name: String,
    /// Opens the hold: a secret of its owner.
    pub key: String,
    /// Larger than that of every earlier hold of any lock.
    pub fencing_token: u64,
    /// The lease that was asked for.
    pub lease: Option<Duration>,
    /// Until when it is certainly held if nobody ends it, counted from before it was asked for; `None` without a lease.
    pub until: Option<Moment>,
}

impl Client {
    /// Takes a lock, waiting as long as the request says. `None`: the service says that it was not to be had.
    ///
    /// That the service cannot be reached, or does not answer, is told when the client's patience has ended, or with the
    /// wait where that is longer.
    pub async fn acquire(&self, request: &LockRequest) -> Result<Option<Hold>, ClientError> {
        let ends = request.wait_end(Moment::now());
        let mut request = std::borrow::Cow::Borrowed(request);
        loop {
            let waits = request.waits();
            let is_over = || !waits || ends.is_some_and(Moment::has_come);
            let (result, sent) = match self.ask_for(&request, ends).await {
                Ok(answer) => answer,
                // What an earlier attempt was given has ended before anybody heard of it.
                Err(error) if error.is_request_ended() && !is_over() => continue,
                Err(error) => return Err(error),
            };
            if let Some(error) = result.error.as_ref().filter(|error| error.code != WAIT_TIMEOUT) {
                if let Some(shorter) = request.within(error) {
                    request = std::borrow::Cow::Owned(shorter);
                    continue;
                }
                return Err(ClientError::Objected(error.clone()));
            }
            if let Some(hold) = self.trusted(&request, result, sent).await? {
                return Ok(Some(hold));
            }
            // Time may be left: the service has a longest wait of its own, and a lease may run out unused.
            if is_over() {
                return Ok(None);
            }
        }
    }

    /// Asks, in slices under one idempotency key.
    async fn ask_for(&self, request: &LockRequest, ends: Option<Moment>) -> Result<(LockResult, Moment), ClientError> {
        let call = self.call_for(request);
        let ends = ends.map(|end| end.after(LAST_WORD));
        loop {
            let patience = self.patience_for(request, ends);
            let error = match self.send(&call, patience).await {
                Ok(answer) => return Ok((answer.about(request.name())?, answer.sent)),
                Err(error) => error,
            };
            // A request that stood open until the patience was over had somebody at its other end.
            let was_heard = error.is_timeout() || (patience.until.has_come() && error.worth_another_try().is_some());
            match ends {
                _ if !request.waits() || !was_heard || error.is_connect() => return Err(error),
                Some(end) if end.has_come() => return Err(error),
                _ => {}
            }
        }
    }

    fn patience_for(&self, request: &LockRequest, ends: Option<Moment>) -> Patience {
        let patience = self.patience();
        match ends {
            _ if !request.waits() => patience,
            None => Patience { attempt: SLICE, ..patience },
            Some(end) => Patience {
                until: end.max(patience.until),
                attempt: end.left().clamp(Duration::from_millis(100), SLICE),
                ..patience
            },
        }
    }

    /// The hold, once its lease can be counted from before a request that is not long ago. A wait may have been
    /// granted at any time since it began, so its lease is renewed before anybody relies on it.
    async fn trusted(
        &self,
        request: &LockRequest,
        result: LockResult,
        sent: Moment,
    ) -> Result<Option<Hold>, ClientError> {
        let lease = request.lease_asked();
        let told = result.expires_in();
        let Some(held) = result.held() else { return Ok(None) };
        // A hold that was given to an earlier attempt has less than its lease left.
        let until = lease.map(|lease| sent.after(told.map_or(lease, |told| told.min(lease))));
        let name = request.name().to_owned();
        let hold = Hold { name, key: held.key, fencing_token: held.fencing_token, lease, until };
        let is_worn = |lease: &Duration| until.is_some_and(|until| until.left() < *lease / 4 * 3);
        let Some(lease) = lease.filter(is_worn) else { return Ok(Some(hold)) };
        let (renewed, sent) = self.renew_within(&hold.name, &hold.key, lease, self.patience()).await?;
        Ok(renewed.locked.then(|| Hold { until: Some(sent.after(renewed.lasts(lease))), ..hold }))
    }
}
