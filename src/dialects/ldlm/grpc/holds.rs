//! The procedures of the service.

use super::session::ConnectionSessions;
use crate::dialects::ldlm::proto::{
    Error, ErrorCode, LockRequest, LockResponse, RenewRequest, TryLockRequest, UnlockRequest, UnlockResponse,
};
use crate::domain::{Acquire, Dialect, HoldKey, Name, Proof, Refusal, SessionId, Wait};
use crate::engine::{Engine, Fault};
use crate::http::auth::{may_take, may_use};
use crate::http::code::{Code, FieldNames};
use crate::http::failure::Failure;
use crate::http::grpc::unary::{self, Reply};
use crate::http::key;
use std::sync::Arc;
use tonic::Status;

type Call<'a> = unary::Call<'a, Arc<ConnectionSessions>>;

const NAMES: FieldNames =
    FieldNames { name: "lock name", size: "lock size", lease: "lock timeout", wait: "wait timeout" };

/// Takes a lock, or waits for it.
pub async fn lock(call: &Call<'_>, asked: LockRequest) -> Result<Reply<LockResponse>, Status> {
    let wait = match asked.wait_timeout_seconds.unwrap_or(0) {
        0 => Ok(Some(Wait::Attached { timeout_ms: call.app.engine.limits().wait_ms_max })),
        seconds => {
            ms(seconds, "wait timeout must be greater than 0").map(|timeout_ms| Some(Wait::Attached { timeout_ms }))
        }
    };
    take(call, asked.name, asked.size, asked.lock_timeout_seconds, wait).await
}

/// Takes a lock if it is free.
pub async fn try_lock(call: &Call<'_>, asked: TryLockRequest) -> Result<Reply<LockResponse>, Status> {
    take(call, asked.name, asked.size, asked.lock_timeout_seconds, Ok(None)).await
}

async fn take(
    call: &Call<'_>,
    name: String,
    size: Option<i32>,
    lease_seconds: Option<i32>,
    wait: Result<Option<Wait>, InvalidRequest>,
) -> Result<Reply<LockResponse>, Status> {
    let key = Engine::new_key();
    let checked = checked(&name, size, lease_seconds, wait);
    let (size, lease_ms, wait) = match checked {
        Ok(checked) => checked,
        // LDLM makes a key before it looks at name and size, and after it has looked at the timeouts.
        Err(invalid) => {
            let key = if invalid.after_key { key::dashed(key) } else { String::new() };
            return Ok(not_locked(name, key, Some(invalid.error)).into());
        }
    };
    // Rights before side effects: a caller without the right opens no session.
    if let Err(failure) = may_take(&call.identity, &name).and_then(|()| check_direct(call)) {
        return Ok(not_locked(name, key::dashed(key), Some(plain(failure))).into());
    }
    let session = session(call).await?;
    if let Err(fault) = may_use(call.app, &call.identity, call.head, session).await {
        return not_acquired(call, name, key, fault).map(Reply::from);
    }
    let acquire = Acquire {
        session: Some(session),
        size,
        remembers_size: true,
        lease_ms,
        wait,
        caller: call.caller(),
        ..Acquire::new(Name::from(&*name), key, Dialect::LdlmGrpc)
    };
    match call.app.engine.acquire(acquire).await {
        Ok(hold) => {
            let message = LockResponse {
                locked: true,
                name,
                key: key::dashed(hold.key),
                error: None,
                fencing_token: hold.token.0,
            };
            Ok(Reply { message, delivery: Some(hold.delivery) })
        }
        Err(fault) => not_acquired(call, name, key, fault).map(Reply::from),
    }
}

/// A proxy may send several clients over one connection, and they would be one holder.
fn check_direct(call: &Call<'_>) -> Result<(), Failure> {
    let via_proxy = call.client_info().is_some_and(|info| info.via_proxy);
    if !via_proxy || call.state.allow_via_proxy {
        return Ok(());
    }
    let why = "LDLM's sessions are connections, and a proxy may share one among clients, who would then be one holder: \
               connect directly, or set sessions.connections_via_proxy if each client has its own";
    Err(Failure::new(Code::Forbidden, why).set_by("sessions.connections_via_proxy"))
}

/// The session of the caller's connection.
async fn session(call: &Call<'_>) -> Result<SessionId, Status> {
    let info = call.client_info().ok_or_else(|| Status::internal("this service needs a connection"))?;
    let session = call.state.session_of(&info.connection, call.caller()).await;
    session.map_err(|fault| Failure::from_fault(&fault, &NAMES).into())
}

/// A request that is refused before it is tried.
struct InvalidRequest {
    error: Error,
    after_key: bool,
}

impl InvalidRequest {
    fn new(after_key: bool, code: ErrorCode, message: &str) -> InvalidRequest {
        InvalidRequest { error: error(code, message), after_key }
    }
}

/// LDLM's own checks, in its order: lease, wait, name, size.
fn checked(
    name: &str,
    size: Option<i32>,
    lease_seconds: Option<i32>,
    wait: Result<Option<Wait>, InvalidRequest>,
) -> Result<(u32, Option<u64>, Option<Wait>), InvalidRequest> {
    let lease_ms = match lease_seconds.unwrap_or(0) {
        0 => None,
        seconds => Some(ms(seconds, LEASE_WORDS)?),
    };
    let wait = wait?;
    if name.is_empty() {
        return Err(InvalidRequest::new(true, ErrorCode::Unknown, "lock name cannot be empty"));
    }
    let size = u32::try_from(size.unwrap_or(1)).ok().filter(|size| *size > 0);
    let size =
        size.ok_or_else(|| InvalidRequest::new(true, ErrorCode::InvalidLockSize, "lock size must be greater than 0"))?;
    Ok((size, lease_ms, wait))
}

const LEASE_WORDS: &str = "lock timeout must be greater than 0";

fn ms(seconds: i32, words: &'static str) -> Result<u64, InvalidRequest> {
    match u64::try_from(seconds) {
        Ok(seconds) => Ok(seconds * 1000),
        Err(_) => Err(InvalidRequest::new(false, ErrorCode::Unknown, words)),
    }
}

fn not_acquired(call: &Call<'_>, name: String, key: HoldKey, fault: Fault) -> Result<LockResponse, Status> {
    let error = match &fault {
        Fault::Refused(Refusal::Held(_)) => None,
        Fault::Refused(Refusal::WaitTimedOut) => {
            Some(error(ErrorCode::LockWaitTimeout, "timeout waiting to acquire lock"))
        }
        Fault::Refused(Refusal::SizeMismatch { .. }) => Some(error(ErrorCode::LockSizeMismatch, "lock size mismatch")),
        Fault::Refused(Refusal::SessionUnknown) => {
            // Whatever this connection held is gone, so the connection goes too.
            if let Some(info) = call.client_info() {
                info.connection.end();
            }
            return Err(Status::unavailable("the session of this connection has ended: connect again"));
        }
        _ => Some(plain(error_in_answer(&fault)?)),
    };
    Ok(not_locked(name, key::dashed(key), error))
}

/// Releases a lock. The key alone is enough.
pub async fn unlock(call: &Call<'_>, asked: UnlockRequest) -> Result<Reply<UnlockResponse>, Status> {
    let error = match may_take(&call.identity, &asked.name) {
        Err(failure) => plain(failure),
        Ok(()) => {
            let proof = Proof::Key(key::from_dashed(&asked.key).unwrap_or(key::NO_KEY));
            match call.app.engine.release(Name::from(&*asked.name), None, proof).await {
                Ok(_) => return Ok(UnlockResponse { unlocked: true, name: asked.name, error: None }.into()),
                Err(Fault::Refused(Refusal::NoSuchLock)) => {
                    error(ErrorCode::LockDoesNotExist, "a lock by that name does not exist")
                }
                Err(Fault::Refused(Refusal::WrongKey)) => error(ErrorCode::InvalidLockKey, "invalid lock key"),
                Err(fault) => plain(error_in_answer(&fault)?),
            }
        }
    };
    Ok(UnlockResponse { unlocked: false, name: asked.name, error: Some(error) }.into())
}

/// Renews a lease.
pub async fn renew(call: &Call<'_>, asked: RenewRequest) -> Result<Reply<LockResponse>, Status> {
    let lease_ms = match ms(asked.lock_timeout_seconds, LEASE_WORDS) {
        Ok(lease_ms @ 1..) => lease_ms,
        Ok(_) => return Ok(not_locked(asked.name, String::new(), Some(error(ErrorCode::Unknown, LEASE_WORDS))).into()),
        Err(invalid) => return Ok(not_locked(asked.name, String::new(), Some(invalid.error)).into()),
    };
    if let Err(failure) = may_take(&call.identity, &asked.name) {
        return Ok(not_locked(asked.name, asked.key, Some(plain(failure))).into());
    }
    let key = key::from_dashed(&asked.key).unwrap_or(key::NO_KEY);
    let name = Name::from(&*asked.name);
    match call.app.engine.renew(name.clone(), None, Proof::Key(key), lease_ms).await {
        Ok(renewed) => {
            keep_session(call, &name, key).await;
            let message = LockResponse {
                locked: true,
                name: asked.name,
                key: asked.key,
                error: None,
                fencing_token: renewed.token.0,
            };
            Ok(message.into())
        }
        // The same for a hold without a lease: LDLM's clients know no other answer, and renew no such hold.
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey | Refusal::NoLease)) => {
            let error = error(ErrorCode::Unknown, "lock does not exist or invalid key");
            Ok(not_locked(asked.name, asked.key, Some(error)).into())
        }
        Err(fault) => {
            let failure = error_in_answer(&fault)?;
            Ok(not_locked(asked.name, asked.key, Some(plain(failure))).into())
        }
    }
}

/// Renewing a hold whose connection ended with its server keeps its session past the grace.
async fn keep_session(call: &Call<'_>, name: &Name, key: HoldKey) {
    if let Some(session) = call.app.engine.local_hold(name, key).and_then(|hold| hold.session) {
        // If the session has ended meanwhile, so has the hold, and the next renewal fails.
        let _ = call.app.engine.touch_session(session).await;
    }
}

/// Refusals go into the answer; retryable failures and those that are no answer become a status.
fn error_in_answer(fault: &Fault) -> Result<Failure, Status> {
    let failure = Failure::from_fault(fault, &NAMES);
    match fault {
        Fault::Refused(_) if !matches!(failure.code, Code::NotLeader | Code::WaitCancelled | Code::Internal) => {
            Ok(failure)
        }
        Fault::Refused(_) | Fault::Engine(_) | Fault::Member(_) => Err(failure.into()),
    }
}

fn not_locked(name: String, key: String, error: Option<Error>) -> LockResponse {
    LockResponse { locked: false, name, key, error, fencing_token: 0 }
}

/// A failure that LDLM does not have.
fn plain(failure: Failure) -> Error {
    let code = if failure.field == Some(NAMES.size) { ErrorCode::InvalidLockSize } else { ErrorCode::Unknown };
    error(code, &failure.detail)
}

fn error(code: ErrorCode, message: &str) -> Error {
    Error { code: code.into(), message: message.to_owned() }
}
