//! `/v1/lock`, `/v1/unlock` and `/v1/renew` (alias `/v1/refreshlock`): the hot path of the service.

use super::answer;
use super::fields::{FIELDS, IN_BODY};
use super::in_session::{Rejection, RequestInSession, check_grpc_timeout, method_not_allowed};
use super::request;
use super::schema::{
    GatewayError, IN_SESSION, LockAnswer, LockRequest, MESSAGE, RenewRequest, SessionError, UnlockAnswer, UnlockRequest,
};
use crate::dialects::ldlm::error;
use crate::domain::{Acquire, Dialect, Field, HoldKey, Name, Proof, Refusal, SHARED, Terms, Wait};
use crate::engine::{Engine, Fault};
use crate::http::auth::{self, may_take};
use crate::http::deadlock::BlockedBy;
use crate::http::delivery::granted;
use crate::http::endpoint::{BODY, IdempotencyHeader, KEYED, NEW_HOLD, WRITE, errors};
use crate::http::frozen::Frozen;
use crate::http::idempotency::{Scope, request_key};
use crate::http::unknown_fields::check_misplaced;
use crate::http::{AppState, Code, Failure, Query, key, respond};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use std::borrow::Cow;

errors!(LockErrors: GatewayError, BODY, MESSAGE, WRITE, IN_SESSION, [Code::RateExceeded, Code::WaitCancelled, Code::QueueFull, Code::SessionHoldsFull], NEW_HOLD, KEYED);
errors!(HoldErrors: GatewayError, BODY, MESSAGE, WRITE, IN_SESSION);

/// Take a lock
///
/// With `mode` any number of holders share it, or one has it alone; with `names` all of several locks are taken at once, or
/// none. Without `wait_timeout_seconds` it tries once. With it the request waits in the lock's queue, first come first served,
/// and leaves it when the time is over or the connection closes. Without `lock_timeout_seconds` the hold lives as long as
/// its session. A value beyond a limit is reported in `error`; where the limit is one of a pool and the request has an
/// idempotency key, by a status.
#[utoipa::path(
    post,
    path = "/v1/lock",
    params(IdempotencyHeader),
    request_body(content = LockRequest, example = json!({"name": "deploy/production", "lock_timeout_seconds": 30, "wait_timeout_seconds": 0.5, "metadata": {"host": "web-1"}})),
    responses(
        (status = 200, description = "Taken, or not: `locked` tells. An `error` says why where it is more than plain contention.", body = LockAnswer, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        (status = 401, description = "No credential or a wrong one (then without a body), or no session cookie, or its session has ended.", body = SessionError),
        LockErrors,
    ),
    security(("session" = [])),
)]
pub fn lock(State(app): State<AppState>, request: Request) -> impl Future<Output = Response> {
    handle(app, request, acquire)
}

/// Release a lock
///
/// Name and key show the right to; the session need not be the one that took it.
#[utoipa::path(
    post,
    path = "/v1/unlock",
    request_body(content = UnlockRequest, example = json!({"name": "deploy/production", "key": "9e2c0102-0304-4506-8708-090a0b0c0d0e"})),
    responses(
        (status = 200, description = "Released, or not: `unlocked` tells, and `error` says why.", body = UnlockAnswer, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        (status = 401, description = "No credential or a wrong one (then without a body), or no session cookie, or its session has ended.", body = SessionError),
        HoldErrors,
    ),
    security(("session" = [])),
)]
pub fn unlock(State(app): State<AppState>, request: Request) -> impl Future<Output = Response> {
    handle(app, request, release)
}

/// Declares a path under which a lease is renewed.
macro_rules! renewal {
    ($name:ident at $path:literal, $summary:literal) => {
        #[doc = $summary]
        ///
        /// The lease ends `lock_timeout_seconds` from now, which may be sooner than before. The fencing token stays.
        /// `locked: false` means that the hold is lost; a hold without a lease, or no new lease, is 400.
        #[utoipa::path(
            post,
            path = $path,
            request_body(content = RenewRequest, example = json!({"name": "deploy/production", "key": "9e2c0102-0304-4506-8708-090a0b0c0d0e", "lock_timeout_seconds": 30})),
            responses(
                (status = 200, description = "Renewed, or not: `locked` tells, and `error` says why.", body = LockAnswer, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
                (status = 401, description = "No credential or a wrong one (then without a body), or no session cookie, or its session has ended.", body = SessionError),
                HoldErrors,
            ),
            security(("session" = [])),
        )]
        pub fn $name(State(app): State<AppState>, request: Request) -> impl Future<Output = Response> {
            handle(app, request, renew_hold)
        }
    };
}

// As in a comment, with a space before the text.
renewal!(renew at "/v1/renew", " Renew a lease");
renewal!(refresh_lock at "/v1/refreshlock", " Renew a lease (older name)");

/// Credential and cookie first, then method and body, then the operation; a living session's cookie goes with all.
///
/// What is asked for is made by functions that are not async, because a future keeps what it has seen: it is moved twice, and
/// from 1 KiB on the allocator takes a slower way.
pub fn handle<O>(app: AppState, request: Request, operation: O) -> impl Future<Output = Response>
where
    O: AsyncFnOnce(&RequestInSession<'_>, &[u8]) -> Result<Response, Rejection>,
{
    let (head, body) = request.into_parts();
    async move {
        let caller = match RequestInSession::enter(&app, &head).await {
            Ok(caller) => caller,
            Err(response) => return response,
        };
        let outcome = match post_body(&caller, body).await {
            Ok(body) => operation(&caller, &body).await,
            Err(rejection) => Err(rejection),
        };
        caller.answer(outcome).await
    }
}

async fn post_body(caller: &RequestInSession<'_>, body: Body) -> Result<Bytes, Rejection> {
    if caller.head.method != Method::POST {
        return Err(Rejection::before_session(method_not_allowed("POST")));
    }
    check_grpc_timeout(caller.head)?;
    check_misplaced(Query::of(&caller.head.uri), &FIELDS, IN_BODY, caller.app.settings.unknown_fields)?;
    Ok(caller.app.body(caller.head, body).await?)
}

async fn acquire(caller: &RequestInSession<'_>, body: &[u8]) -> Result<Response, Rejection> {
    let acquire = asked_acquire(caller, body)?;
    let (name, key, has_key) = (acquire.name.clone(), acquire.key, acquire.idempotency_key.is_some());
    let terms = acquire.terms.clone();
    match caller.app.engine.acquire(acquire).await {
        Ok(hold) => {
            let names = names_of(terms.as_deref());
            let body = answer::locked(&name, &names, hold.key, hold.token, hold.expires_in);
            Ok(granted(caller.head, hold.delivery, StatusCode::OK, body))
        }
        Err(fault) => not_acquired(caller, &name, key, fault, has_key),
    }
}

fn asked_acquire(caller: &RequestInSession<'_>, body: &[u8]) -> Result<Box<Acquire>, Rejection> {
    let limits = caller.app.engine.limits();
    let asked = request::LockRequest::parse(body, &limits, caller.app.settings.unknown_fields)?;
    let key = Engine::new_key();
    if let Some((error, has_key)) = asked.invalid() {
        let mut buffer = [0; 36];
        let key = if has_key { key::dashed_in(key, &mut buffer) } else { "" };
        return Err(Rejection::before_session(ok(answer::not_locked(&asked.places.name, key, Some(error)))));
    }
    if let Some(failure) = asked.limit_exceeded(&limits) {
        return Err(Rejection::before_session(beyond_limit(&asked.places.name, key, failure)));
    }
    asked.places.all_names().try_for_each(|name| may_take(&caller.identity, name))?;
    let scope = Scope { identity: &caller.identity, session: Some(caller.session) };
    let request = request_key(caller.head, asked.request_id.as_deref(), &scope, body)?;
    Ok(Box::new(Acquire {
        session: Some(caller.session),
        size: match asked.places.is_shared {
            true => SHARED,
            false => u32::try_from(asked.places.size).expect("a size that is not positive is objected to above"),
        },
        remembers_size: true,
        lease_ms: asked.lock_timeout.ms(),
        // LDLM's REST interface never waits. Under gRPC 0 means to wait without end; here it means not to wait.
        wait: asked.wait_timeout.ms().map(|timeout_ms| Wait::Guarded { timeout_ms }),
        metadata: asked.metadata,
        idempotency_key: request,
        caller: auth::caller(&caller.identity, caller.head),
        terms: asked.places.terms(),
        ..Acquire::new(Name::from(&*asked.places.name), key, Dialect::LdlmRest)
    }))
}

/// Of a hold of several names, all of them.
fn names_of(terms: Option<&Terms>) -> Vec<Name> {
    terms.map_or_else(Vec::new, |terms| terms.names.iter().map(|(name, _)| name.clone()).collect())
}

/// A limit is reported in `error`, where LDLM's clients look.
fn beyond_limit(name: &str, key: HoldKey, failure: Failure) -> Response {
    ok(answer::not_locked(name, key::dashed_in(key, &mut [0; 36]), Some(failure.into())))
}

pub fn not_acquired(
    caller: &RequestInSession<'_>,
    name: &str,
    key: HoldKey,
    fault: Fault,
    has_key: bool,
) -> Result<Response, Rejection> {
    let failure = answer::from_fault(&fault);
    let error = match &fault {
        Fault::Refused(Refusal::Held(_)) => None,
        Fault::Refused(Refusal::WaitTimedOut) => Some(error::WAIT_TIMED_OUT),
        Fault::Refused(Refusal::SizeMismatch { .. }) => Some(error::SIZE_MISMATCH),
        Fault::Refused(Refusal::Frozen(by)) => {
            let frozen = Frozen::from(&**by);
            return Ok(ok(answer::frozen(name, &key::dashed(key), &frozen, by.waited)));
        }
        Fault::Refused(Refusal::ZeroSize) => Some(error::SIZE_NOT_POSITIVE),
        Fault::Refused(Refusal::WouldDeadlock { cycle }) => {
            let cycle = BlockedBy::all(cycle, |name| caller.identity.may_read(name));
            return Ok(ok(answer::would_deadlock(name, &key::dashed(key), &cycle)));
        }
        // LDLM's clients do not have these fields.
        Fault::Refused(Refusal::LimitExceeded { field: Field::Names | Field::LockDelay | Field::Value, .. }) => {
            return Err(rejected(fault));
        }
        Fault::Refused(Refusal::LimitExceeded { .. }) => {
            // Refused before the engine checked the session.
            return Err(Rejection::before_session(beyond_limit(name, key, failure)));
        }
        // Only releases, renewals and reads are served now.
        Fault::Refused(_) if failure.code == Code::TableFull => return Err(rejected(fault)),
        // Clients of LDLM send no idempotency key; a request with one gets a status with Retry-After instead.
        Fault::Refused(_) if failure.limit.is_some() && !has_key => Some(failure.into()),
        _ => return Err(rejected(fault)),
    };
    Ok(ok(answer::not_locked(name, key::dashed_in(key, &mut [0; 36]), error)))
}

async fn release(caller: &RequestInSession<'_>, body: &[u8]) -> Result<Response, Rejection> {
    let (name, proof) = asked_release(caller, body)?;
    let released = caller.app.engine.release(name.clone(), Some(caller.session), proof);
    let error = match released.await {
        Ok(released) => return Ok(ok(answer::unlocked(&name, &released.names))),
        Err(Fault::Refused(Refusal::NoSuchLock)) => error::NO_SUCH_LOCK,
        Err(Fault::Refused(Refusal::WrongKey)) => error::WRONG_KEY,
        Err(fault) => return Err(rejected(fault)),
    };
    Ok(ok(answer::not_unlocked(&name, error)))
}

fn asked_release(caller: &RequestInSession<'_>, body: &[u8]) -> Result<(Name, Proof), Rejection> {
    let limits = caller.app.engine.limits();
    let request::UnlockRequest(asked) =
        request::UnlockRequest::parse(body, &limits, caller.app.settings.unknown_fields)?;
    asked.all_names().try_for_each(|name| may_take(&caller.identity, name))?;
    Ok((Name::from(&*asked.name), asked.proof()))
}

async fn renew_hold(caller: &RequestInSession<'_>, body: &[u8]) -> Result<Response, Rejection> {
    let (name, proof, asked_key, lease_ms) = asked_renewal(caller, body)?;
    let renewed = caller.app.engine.renew(name.clone(), Some(caller.session), proof, lease_ms);
    match renewed.await {
        Ok(renewed) => Ok(ok(answer::locked(&name, &[], renewed.key, renewed.token, Some(renewed.expires_in)))),
        // `locked: false` means that the hold is lost, and nothing else: its holder stops its work.
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => {
            Ok(ok(answer::not_locked(&name, &asked_key, Some(error::HOLD_LOST))))
        }
        Err(Fault::Refused(Refusal::NoLease)) => Err(Rejection::before_session(answer::failure(&no_lease()))),
        Err(fault) => Err(rejected(fault)),
    }
}

type Renewal<'a> = (Name, Proof, Cow<'a, str>, u64);

fn asked_renewal<'a>(caller: &RequestInSession<'_>, body: &'a [u8]) -> Result<Renewal<'a>, Rejection> {
    let limits = caller.app.engine.limits();
    let asked = request::RenewRequest::parse(body, &limits, caller.app.settings.unknown_fields)?;
    let lease_ms = asked.lease_ms(&limits)?;
    asked.hold.all_names().try_for_each(|name| may_take(&caller.identity, name))?;
    Ok((Name::from(&*asked.hold.name), asked.hold.proof(), asked.hold.key, lease_ms))
}

/// The hold is there, and its session keeps it.
fn no_lease() -> Failure {
    let detail = "the lock is held, and without a lease: there is nothing to renew, its session keeps it. \
                  To have a lease, take the lock with lock_timeout_seconds";
    Failure::field(answer::NAMES.lease, detail)
}

/// The engine checks lengths and the like before it looks at the session; those refusals come before the session's.
pub fn rejected(fault: Fault) -> Rejection {
    let failure = answer::from_fault(&fault);
    if failure.code.status() == StatusCode::BAD_REQUEST { failure.into() } else { Rejection::AfterSession(fault) }
}

pub fn ok(body: Vec<u8>) -> Response {
    respond::json(StatusCode::OK, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn futures_of_hold_requests_stay_small() {
        fn size<F>(_: impl Fn(State<AppState>, Request) -> F) -> usize {
            size_of::<F>()
        }
        // axum's own part of a handler is 250 bytes or so.
        for size in [size(lock), size(unlock), size(renew), size(refresh_lock)] {
            assert!(size <= 768, "{size} bytes: see `handle`");
        }
    }
}
