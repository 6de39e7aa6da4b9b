//! Acquires a lock through failovers, however long the wait, with a lease that can be trusted; renews it at a third of its
//! lease, and knows until when it is certain.

use std::borrow::Cow;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::call::Answer;
use super::clock::Moment;
use super::names::Names;
use super::retry::RetryPolicy;
use super::wire::{LockRequest, LockResult, Session};
use super::{Client, ClientError};

/// The longest that one request of a wait stays open: less than the idle timeout of balancers (60 s is common). The next
/// request has the same idempotency key, and so keeps the place in the queue.
const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(50);

/// How long after the end of a wait its result may still arrive.
const RESULT_GRACE: Duration = Duration::from_secs(5);

/// The error code of a wait that ended without the lock.
const WAIT_TIMEOUT: &str = "LockWaitTimeout";
/// That of a wait that could not end.
const WOULD_DEADLOCK: &str = "WouldDeadlock";

/// A lock that is held, or several as one.
#[derive(Clone, Debug, PartialEq)]
pub struct AcquiredLock {
    /// The only one, or all of them.
    pub names: Vec<String>,
    /// Opens the hold: a secret of its owner.
    pub key: String,
    /// Larger than the token of every earlier hold of any lock.
    pub fencing_token: u64,
    /// The lease that was asked for.
    pub lease: Option<Duration>,
    /// The end of its lease, counted from before the request was sent; `None` without a lease.
    pub until: Option<Moment>,
}

impl Client {
    /// Acquires a lock, waiting as long as the request says. `None`: the wait ended without it. An unreachable service is
    /// an error after the client's retry time, or after the wait if that is longer.
    pub async fn acquire(&self, request: &LockRequest) -> Result<Option<AcquiredLock>, ClientError> {
        let ends = request.wait_end(Moment::now());
        let mut request = Cow::Borrowed(request);
        loop {
            let waits = request.waits();
            let is_over = || !waits || ends.is_some_and(Moment::has_come);
            let (result, sent) = match self.send_in_slices(&request, ends).await {
                Ok(answer) => answer,
                // The hold of an earlier attempt ended before its answer arrived.
                Err(error) if error.is_request_ended() && !is_over() => continue,
                Err(error) => match error.limit().and_then(|error| request.shortened(&error)) {
                    Some(shorter) => {
                        request = Cow::Owned(shorter);
                        continue;
                    }
                    None => return Err(error.or_older(request.newer_fields())),
                },
            };
            if let Some(error) = result.error.as_ref().filter(|error| error.code != WAIT_TIMEOUT) {
                if let Some(shorter) = request.shortened(error) {
                    request = Cow::Owned(shorter);
                    continue;
                }
                return Err(match &*error.code {
                    WOULD_DEADLOCK => ClientError::WouldDeadlock(result.cycle),
                    _ => ClientError::Rejected(error.clone()),
                });
            }
            if let Some(hold) = self.with_fresh_lease(&request, result, sent).await? {
                return Ok(Some(hold));
            }
            // Time may be left: the service limits waits, and a lease may expire before its grant arrives.
            if is_over() {
                return Ok(None);
            }
        }
    }

    /// Sends requests under one idempotency key until one has an answer.
    async fn send_in_slices(
        &self,
        request: &LockRequest,
        ends: Option<Moment>,
    ) -> Result<(LockResult, Moment), ClientError> {
        let call = self.call_for(request);
        let ends = ends.map(|end| end.after(RESULT_GRACE));
        loop {
            let policy = self.policy_for(request, ends);
            let error = match self.send(&call, policy).await {
                Ok(answer) => return Ok((granted(&answer, request.names())?, answer.sent)),
                Err(error) => error,
            };
            // A server accepted a request that timed out.
            let was_accepted = error.is_timeout() || (policy.until.has_come() && error.retry_hint().is_some());
            match ends {
                _ if !request.waits() || !was_accepted || error.is_connect_error() => return Err(error),
                Some(end) if end.has_come() => return Err(error),
                _ => {}
            }
        }
    }

    fn policy_for(&self, request: &LockRequest, ends: Option<Moment>) -> RetryPolicy {
        let policy = self.retry_policy();
        match ends {
            _ if !request.waits() => policy,
            None => RetryPolicy { attempt: REQUEST_TIMEOUT_MAX, ..policy },
            Some(end) => RetryPolicy {
                until: end.max(policy.until),
                attempt: end.left().clamp(Duration::from_millis(100), REQUEST_TIMEOUT_MAX),
                ..policy
            },
        }
    }

    /// The hold, with at least three quarters of its lease left. A wait may have been granted at any time since it began,
    /// so a lease that may be older is renewed first.
    async fn with_fresh_lease(
        &self,
        request: &LockRequest,
        result: LockResult,
        sent: Moment,
    ) -> Result<Option<AcquiredLock>, ClientError> {
        let lease = request.lease_asked();
        // A hold of an earlier attempt has less than its lease left.
        let until = lease.map(|lease| sent.after(result.lasts(lease)));
        let Some(fencing_token) = result.fencing_token.filter(|_| result.locked) else { return Ok(None) };
        let hold = AcquiredLock { names: request.names().all(), key: result.key, fencing_token, lease, until };
        let is_worn = |lease: &Duration| until.is_some_and(|until| until.left() < *lease / 4 * 3);
        let Some(lease) = lease.filter(is_worn) else { return Ok(Some(hold)) };
        let (renewed, sent) = self.renew_with(request.names(), &hold.key, lease, self.retry_policy()).await?;
        Ok(renewed.locked.then(|| AcquiredLock { until: Some(sent.after(renewed.lasts(lease))), ..hold }))
    }
}

/// The answer to a request for these; an older service may have ignored most of them.
fn granted(answer: &Answer, names: &Names) -> Result<LockResult, ClientError> {
    let result: LockResult = answer.about(names.first())?;
    match names {
        Names::Names(names) if result.locked && result.names != *names => {
            Err(answer.wrong_response("it does not name all the locks"))
        }
        _ => Ok(result),
    }
}

/// The service's default, for services that do not say how long their sessions live without a request.
const SESSION_IDLE: Duration = Duration::from_secs(600);

/// Whether a hold that is being renewed is still held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldStatus {
    /// Held until this moment at least, by this machine's clock, unless another client ends it; and why the service refused
    /// the last renewal, which may be taken back while the lease still runs, such as a refusal of the credential.
    Held { until: Moment, refused: Option<String> },
    /// For this reason.
    Lost(String),
}

/// Renews a hold in the background until this is dropped, or the hold is lost.
#[derive(Debug)]
pub struct Keeper {
    status: watch::Receiver<HoldStatus>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts to renew; needs a tokio runtime. `None`: the hold has no lease, and lives as long as its session.
    pub fn start(client: &Client, session: &Session, hold: &AcquiredLock) -> Option<Keeper> {
        let (lease, until) = (hold.lease?, hold.until?);
        let idle = session.idle_timeout.unwrap_or(SESSION_IDLE);
        let (sender, status) = watch::channel(HoldStatus::Held { until, refused: None });
        let (names, key) = (hold.names.clone().into(), hold.key.clone());
        let renewal = Renewal { client: client.clone(), names, key, lease, idle, status: sender };
        Some(Keeper { status, task: tokio::spawn(renewal.run(until)) })
    }

    /// The status, and every change of it.
    pub fn status(&self) -> watch::Receiver<HoldStatus> {
        self.status.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Renewal {
    client: Client,
    names: Names,
    key: String,
    lease: Duration,
    idle: Duration,
    status: watch::Sender<HoldStatus>,
}

impl Renewal {
    async fn run(self, mut until: Moment) {
        // A renewal also keeps the session alive.
        let interval = (self.lease / 3).min(self.idle / 3);
        loop {
            // The last renewal was sent that long before `until`.
            until.before(self.lease.min(self.idle)).after(interval).wait().await;
            match self.renew(until).await {
                Ok(renewed) => until = renewed,
                Err(reason) => {
                    self.status.send_replace(HoldStatus::Lost(reason));
                    return;
                }
            }
            self.status.send_replace(HoldStatus::Held { until, refused: None });
        }
    }

    /// Renews; repeats a failed renewal until the lease has ended by this machine's clock.
    async fn renew(&self, until: Moment) -> Result<Moment, String> {
        let policy = RetryPolicy {
            until,
            attempt: (self.lease / 6).clamp(Duration::from_millis(200), Duration::from_secs(5)),
            delay_max: (self.lease / 10).min(Duration::from_secs(2)),
        };
        loop {
            let error = match self.client.renew_with(&self.names, &self.key, self.lease, policy).await {
                Ok((renewed, sent)) if renewed.locked => return Ok(sent.after(renewed.lasts(self.lease))),
                Ok(_) => return Err("the service says that the hold has ended".to_owned()),
                Err(error) if error.is_session_unknown() => return Err("its session has ended".to_owned()),
                Err(error) => error,
            };
            if until.has_come() || error.is_unavailable() {
                return Err(format!("its lease could not be renewed: {error}"));
            }
            tracing::debug!(%error, "a renewal was refused");
            self.status.send_replace(HoldStatus::Held { until, refused: Some(error.to_string()) });
            Moment::now().after(policy.delay_max).wait().await;
        }
    }
}
