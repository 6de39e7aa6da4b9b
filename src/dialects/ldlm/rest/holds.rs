//! `/v1/lock`, `/v1/unlock` and `/v1/renew` (alias `/v1/refreshlock`): the hot path of the service.

use super::answer::{self, LockError};
use super::caller::{Caller, Stop, check_grpc_timeout, method_not_allowed};
use super::request::{Asked, FIELDS, IN_BODY, LockRequest, RenewRequest, UnlockRequest};
use crate::domain::{Acquire, Dialect, HoldKey, Name, Proof, Refusal, Wait};
use crate::engine::{Engine, Fault};
use crate::http::AppState;
use crate::http::auth::{self, may_take};
use crate::http::code::Code;
use crate::http::delivery::granted;
use crate::http::failure::Failure;
use crate::http::idempotency::{Scope, request_key};
use crate::http::key;
use crate::http::query::Query;
use crate::http::respond;
use crate::http::unknown_fields::check_misplaced;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;

/// Takes a lock, or waits for it when `wait_timeout_seconds` is there.
pub async fn lock(State(app): State<AppState>, request: Request) -> Response {
    carry_out(&app, request, acquire).await
}

/// Gives a lock back.
pub async fn unlock(State(app): State<AppState>, request: Request) -> Response {
    carry_out(&app, request, release).await
}

/// Starts a lease anew.
pub async fn renew(State(app): State<AppState>, request: Request) -> Response {
    carry_out(&app, request, extend).await
}

/// Credential and cookie first, then method and body, then the operation; a living session's cookie goes with all.
async fn carry_out(
    app: &AppState,
    request: Request,
    operation: impl AsyncFnOnce(&Caller<'_>, &[u8]) -> Result<Response, Stop>,
) -> Response {
    let (head, body) = request.into_parts();
    let caller = match Caller::enter(app, &head).await {
        Ok(caller) => caller,
        Err(response) => return response,
    };
    let outcome = match post_body(&caller, body).await {
        Ok(body) => operation(&caller, &body).await,
        Err(stop) => Err(stop),
    };
    caller.answer(outcome).await
}

async fn post_body(caller: &Caller<'_>, body: Body) -> Result<Bytes, Stop> {
    if caller.head.method != Method::POST {
        return Err(Stop::early(method_not_allowed("POST")));
    }
    check_grpc_timeout(caller.head)?;
    check_misplaced(Query::of(&caller.head.uri), &FIELDS, IN_BODY, caller.app.settings.unknown_fields)?;
    Ok(caller.app.body(caller.head, body).await?)
}

async fn acquire(caller: &Caller<'_>, body: &[u8]) -> Result<Response, Stop> {
    let limits = caller.app.engine.limits();
    let asked = LockRequest::parse(body, &limits, caller.app.settings.unknown_fields)?;
    let key = Engine::new_key();
    if let Some(objection) = asked.objection() {
        return Err(Stop::early(objected(&asked, key, objection.into())));
    }
    if let Some(beyond) = asked.beyond(&limits) {
        return Err(Stop::early(beyond_limit(&asked.name, key, beyond)));
    }
    may_take(&caller.identity, &asked.name)?;
    let scope = Scope { identity: &caller.identity, session: Some(caller.session) };
    let request = request_key(caller.head, asked.request_id.as_deref(), &scope, body)?;
    let has_key = request.is_some();
    let name = Name::from(&*asked.name);
    let acquire = Acquire {
        session: Some(caller.session),
        size: u32::try_from(asked.size).expect("a size that is not positive is objected to above"),
        remembers_size: true,
        lease_ms: match asked.lock_timeout {
            Asked::Ms(ms) => Some(ms),
            Asked::Absent | Asked::Zero | Asked::Negative | Asked::Beyond => None,
        },
        wait: wait(asked.wait_timeout),
        metadata: asked.metadata,
        idempotency_key: request,
        caller: auth::caller(&caller.identity, caller.head),
        ..Acquire::new(name.clone(), key, Dialect::LdlmRest)
    };
    match caller.app.engine.acquire(acquire).await {
        Ok(hold) => {
            let body = answer::locked(&name, key::dashed_in(hold.key, &mut [0; 36]), hold.token, hold.expires_in);
            Ok(granted(caller.head, hold.delivery, StatusCode::OK, body))
        }
        Err(fault) => not_acquired(&name, key, fault, has_key),
    }
}

/// LDLM's REST interface never waits. Its gRPC takes 0 for "as long as it takes"; here it is no time at all.
fn wait(asked: Asked) -> Option<Wait> {
    match asked {
        Asked::Absent | Asked::Negative | Asked::Zero | Asked::Beyond => None,
        Asked::Ms(timeout_ms) => Some(Wait::Attached { timeout_ms }),
    }
}

fn objected(asked: &LockRequest<'_>, key: HoldKey, error: LockError) -> Response {
    // LDLM makes a key before it looks at name and size, and after it has looked at the timeouts.
    let early = asked.lock_timeout == Asked::Negative || asked.wait_timeout == Asked::Negative;
    let mut buffer = [0; 36];
    let key = if early { "" } else { key::dashed_in(key, &mut buffer) };
    ok(answer::not_locked(&asked.name, key, Some(error)))
}

/// LDLM's clients read its `error`, whatever it is that they ask too much of.
fn beyond_limit(name: &str, key: HoldKey, failure: Failure) -> Response {
    let error = LockError::Beyond(Box::new(failure));
    ok(answer::not_locked(name, key::dashed_in(key, &mut [0; 36]), Some(error)))
}

fn not_acquired(name: &str, key: HoldKey, fault: Fault, has_key: bool) -> Result<Response, Stop> {
    let told = answer::from_fault(&fault);
    let error = match &fault {
        Fault::Refused(Refusal::Held(_)) => None,
        Fault::Refused(Refusal::WaitTimedOut) => Some(LockError::LockWaitTimeout),
        Fault::Refused(Refusal::SizeMismatch { .. }) => Some(LockError::LockSizeMismatch),
        Fault::Refused(Refusal::ZeroSize) => Some(LockError::InvalidLockSize),
        Fault::Refused(Refusal::LimitExceeded { .. }) => {
            // Refused before anybody asked whether the session lives.
            return Err(Stop::early(beyond_limit(name, key, told)));
        }
        // Nothing more is served but what gives back, renews or reads.
        Fault::Refused(_) if told.code == Code::TableFull => return Err(late(fault)),
        // No client of LDLM sends an idempotency key: whoever does has the status that tells a retry when to come.
        Fault::Refused(_) if told.limit.is_some() && !has_key => Some(LockError::Beyond(Box::new(told))),
        _ => return Err(late(fault)),
    };
    Ok(ok(answer::not_locked(name, key::dashed_in(key, &mut [0; 36]), error)))
}

async fn release(caller: &Caller<'_>, body: &[u8]) -> Result<Response, Stop> {
    let asked = UnlockRequest::parse(body, caller.app.settings.unknown_fields)?;
    may_take(&caller.identity, &asked.name)?;
    let name = Name::from(&*asked.name);
    let proof = Proof::Key(key::from_dashed(&asked.key).unwrap_or(key::NOBODY));
    let released = caller.app.engine.release(name.clone(), Some(caller.session), proof).await;
    let error = match released {
        Ok(_) => return Ok(ok(answer::unlocked(&name))),
        Err(Fault::Refused(Refusal::NoSuchLock)) => LockError::LockDoesNotExist,
        Err(Fault::Refused(Refusal::WrongKey)) => LockError::InvalidLockKey,
        Err(fault) => return Err(late(fault)),
    };
    Ok(ok(answer::not_unlocked(&name, error)))
}

async fn extend(caller: &Caller<'_>, body: &[u8]) -> Result<Response, Stop> {
    let limits = caller.app.engine.limits();
    let asked = RenewRequest::parse(body, &limits, caller.app.settings.unknown_fields)?;
    let lease_ms = asked.lease_ms(&limits)?;
    may_take(&caller.identity, &asked.name)?;
    let name = Name::from(&*asked.name);
    let key = key::from_dashed(&asked.key).unwrap_or(key::NOBODY);
    match caller.app.engine.renew(name, Some(caller.session), Proof::Key(key), lease_ms).await {
        Ok(renewed) => Ok(ok(answer::locked(&asked.name, &asked.key, renewed.token, Some(renewed.expires_in)))),
        // `locked: false` means that the hold is lost, and nothing else: its holder stops its work.
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => {
            let error = LockError::Unknown("lock does not exist or invalid key");
            Ok(ok(answer::not_locked(&asked.name, &asked.key, Some(error))))
        }
        Err(Fault::Refused(Refusal::NoLease)) => Err(Stop::early(answer::failure(&no_lease()))),
        Err(fault) => Err(late(fault)),
    }
}

/// The hold is there, and its session keeps it.
fn no_lease() -> Failure {
    let detail = "the lock is held, and without a lease: there is nothing to renew, its session keeps it. \
                  To have a lease, take the lock with lock_timeout_seconds";
    Failure::field(answer::NAMES.lease, detail)
}

/// What the engine refuses before it looks at the session (a name too long) is early, its other words are not.
fn late(fault: Fault) -> Stop {
    let failure = answer::from_fault(&fault);
    if failure.code.status() == StatusCode::BAD_REQUEST { failure.into() } else { Stop::Late(fault) }
}

fn ok(body: Vec<u8>) -> Response {
    respond::json(StatusCode::OK, body)
}
