//! `ldlm.LDLM`: LDLM's service for the clients of all its generations, minus its defects.
//!
//! The holder of a lock is a connection. Refusals are answered with status OK and `error` set, because LDLM's clients repeat a call
//! with any other status for ever; other statuses are for retryable failures.

mod session;

use super::error::{self, LockError};
use super::proto::{self, LockRequest, LockResponse, RenewRequest, TryLockRequest, UnlockRequest, UnlockResponse};
use crate::config::Config;
use crate::domain::{Acquire, Dialect, HoldKey, Name, Proof, Refusal, SessionId, Token, Wait};
use crate::engine::{Engine, Fault};
use crate::http::auth::{may_take, may_use};
use crate::http::frozen::text_of;
use crate::http::grpc::unary::{self, Reply, unary_route};
use crate::http::{AppState, Code, Declaration, Failure, FieldNames, GrpcService, HoldDialect, Routes, key};
use session::ConnectionSessions;
use std::sync::Arc;
use tonic::Status;

pub static DECLARATION: Declaration = Declaration {
    label: "ldlm_grpc",
    dialect: Some(HoldDialect { id: Dialect::LdlmGrpc, title: "LDLM gRPC", write_key: |key, _| key::dashed(key) }),
    services: &[GrpcService { name: "ldlm.LDLM", descriptors: proto::DESCRIPTORS }],
    routes,
    documentation: None,
};

fn routes(app: &AppState, config: &Config) -> Routes {
    Routes::new()
        .route("/ldlm.LDLM/Lock", unary_route!(Arc<ConnectionSessions>, lock))
        .route("/ldlm.LDLM/TryLock", unary_route!(Arc<ConnectionSessions>, try_lock))
        .route("/ldlm.LDLM/Unlock", unary_route!(Arc<ConnectionSessions>, unlock))
        .route("/ldlm.LDLM/Renew", unary_route!(Arc<ConnectionSessions>, renew))
        // The older name of Renew.
        .route("/ldlm.LDLM/RefreshLock", unary_route!(Arc<ConnectionSessions>, renew))
        .with_state(Arc::new(ConnectionSessions::new(app, &config.sessions)))
}

type Call<'a> = unary::Call<'a, Arc<ConnectionSessions>>;

const NAMES: FieldNames =
    FieldNames { name: "lock name", size: "lock size", lease: "lock timeout", wait: "wait timeout" };

/// Takes a lock, or waits for it.
async fn lock(call: &Call<'_>, asked: LockRequest) -> Result<Reply<LockResponse>, Status> {
    let wait_seconds = Some(asked.wait_timeout_seconds.unwrap_or(0));
    take(call, asked.name, asked.size, asked.lock_timeout_seconds, wait_seconds).await
}

/// Takes a lock if it is free.
async fn try_lock(call: &Call<'_>, asked: TryLockRequest) -> Result<Reply<LockResponse>, Status> {
    take(call, asked.name, asked.size, asked.lock_timeout_seconds, None).await
}

/// Without `wait_seconds` it tries once; 0 waits for as long as the limit allows.
async fn take(
    call: &Call<'_>,
    name: String,
    size: Option<i32>,
    lease_seconds: Option<i32>,
    wait_seconds: Option<i32>,
) -> Result<Reply<LockResponse>, Status> {
    let key = Engine::new_key();
    let (size, lease_seconds) = (size.unwrap_or(1), lease_seconds.unwrap_or(0));
    let is_wait_negative = wait_seconds.is_some_and(|seconds| seconds < 0);
    if let Some((error, has_key)) = error::invalid(lease_seconds < 0, is_wait_negative, &name, size) {
        let key = if has_key { key::dashed(key) } else { String::new() };
        return Ok(not_locked(name, key, Some(error)).into());
    }
    // Rights before side effects: a caller without the right opens no session.
    if let Err(failure) = may_take(&call.identity, &name).and_then(|()| check_direct(call)) {
        return Ok(not_locked(name, key::dashed(key), Some(failure.into())).into());
    }
    let session = session(call).await?;
    if let Err(fault) = may_use(call.app, &call.identity, call.head, session).await {
        return not_acquired(call, name, key, fault).map(Reply::from);
    }
    let acquire = Acquire {
        session: Some(session),
        size: size.unsigned_abs(),
        remembers_size: true,
        lease_ms: (lease_seconds > 0).then(|| ms(lease_seconds)),
        wait: wait_seconds.map(|seconds| match seconds {
            0 => Wait::Attached { timeout_ms: call.app.engine.limits().wait_ms_max },
            seconds => Wait::Attached { timeout_ms: ms(seconds) },
        }),
        caller: call.caller(),
        ..Acquire::new(Name::from(&*name), key, Dialect::LdlmGrpc)
    };
    match call.app.engine.acquire(acquire).await {
        Ok(hold) => {
            let message = locked(name, key::dashed(hold.key), hold.token);
            Ok(Reply { message, delivery: Some(hold.delivery) })
        }
        Err(fault) => not_acquired(call, name, key, fault).map(Reply::from),
    }
}

/// A proxy may send several clients over one connection, and they would be one holder.
fn check_direct(call: &Call<'_>) -> Result<(), Failure> {
    let via_proxy = call.client_info().is_some_and(|info| info.via_proxy);
    if !via_proxy || call.state.config.connections_via_proxy {
        return Ok(());
    }
    let why = "LDLM's sessions are connections, and a proxy may share one among clients, who would then be one holder: \
               connect directly, or allow it if each client has a connection of its own";
    Err(Failure::new(Code::Forbidden, why).set_by("sessions.connections_via_proxy"))
}

async fn session(call: &Call<'_>) -> Result<SessionId, Status> {
    let info = call.client_info().ok_or_else(|| Status::internal("this service needs a connection"))?;
    let session = call.state.session_of(&info.connection, call.caller()).await;
    session.map_err(|fault| Failure::from_fault(&fault, &NAMES).into())
}

/// Milliseconds of a number that is not negative.
fn ms(seconds: i32) -> u64 {
    u64::from(seconds.unsigned_abs()) * 1000
}

fn not_acquired(call: &Call<'_>, name: String, key: HoldKey, fault: Fault) -> Result<LockResponse, Status> {
    let error = match &fault {
        Fault::Refused(Refusal::Held(_)) => None,
        Fault::Refused(Refusal::WaitTimedOut) => Some(error::WAIT_TIMED_OUT),
        Fault::Refused(Refusal::Frozen(by)) => {
            let frozen = text_of(by);
            let error = by.waited.then(|| error::LockError { message: frozen.clone().into(), ..error::WAIT_TIMED_OUT });
            return Ok(LockResponse { frozen, ..not_locked(name, key::dashed(key), error) });
        }
        Fault::Refused(Refusal::SizeMismatch { .. }) => Some(error::SIZE_MISMATCH),
        Fault::Refused(Refusal::SessionUnknown) => {
            // Whatever this connection held is gone, so the connection goes too.
            if let Some(info) = call.client_info() {
                info.connection.end();
            }
            return Err(Status::unavailable("the session of this connection has ended: connect again"));
        }
        _ => Some(error_in_answer(&fault)?),
    };
    Ok(not_locked(name, key::dashed(key), error))
}

/// Releases a lock. The key alone is enough.
async fn unlock(call: &Call<'_>, asked: UnlockRequest) -> Result<Reply<UnlockResponse>, Status> {
    let error = match may_take(&call.identity, &asked.name) {
        Err(failure) => failure.into(),
        Ok(()) => {
            let proof = Proof::Key(key::from_dashed(&asked.key).unwrap_or(key::NO_KEY));
            match call.app.engine.release(Name::from(&*asked.name), None, proof).await {
                Ok(_) => return Ok(UnlockResponse { unlocked: true, name: asked.name, error: None }.into()),
                Err(Fault::Refused(Refusal::NoSuchLock)) => error::NO_SUCH_LOCK,
                Err(Fault::Refused(Refusal::WrongKey)) => error::WRONG_KEY,
                Err(fault) => error_in_answer(&fault)?,
            }
        }
    };
    Ok(UnlockResponse { unlocked: false, name: asked.name, error: Some(error.into()) }.into())
}

async fn renew(call: &Call<'_>, asked: RenewRequest) -> Result<Reply<LockResponse>, Status> {
    if asked.lock_timeout_seconds <= 0 {
        return Ok(not_locked(asked.name, String::new(), Some(error::LEASE_NOT_POSITIVE)).into());
    }
    if let Err(failure) = may_take(&call.identity, &asked.name) {
        return Ok(not_locked(asked.name, asked.key, Some(failure.into())).into());
    }
    let key = key::from_dashed(&asked.key).unwrap_or(key::NO_KEY);
    let name = Name::from(&*asked.name);
    match call.app.engine.renew(name.clone(), None, Proof::Key(key), ms(asked.lock_timeout_seconds)).await {
        Ok(renewed) => {
            keep_session(call, &name, key).await;
            Ok(locked(asked.name, asked.key, renewed.token).into())
        }
        // The same for a hold without a lease: LDLM's clients know no other answer, and renew no such hold.
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey | Refusal::NoLease)) => {
            Ok(not_locked(asked.name, asked.key, Some(error::HOLD_LOST)).into())
        }
        Err(fault) => Ok(not_locked(asked.name, asked.key, Some(error_in_answer(&fault)?)).into()),
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
fn error_in_answer(fault: &Fault) -> Result<LockError, Status> {
    let failure = Failure::from_fault(fault, &NAMES);
    match fault {
        Fault::Refused(_) if !matches!(failure.code, Code::NotLeader | Code::WaitCancelled | Code::Internal) => {
            Ok(failure.into())
        }
        Fault::Refused(_) | Fault::Engine(_) | Fault::Member(_) | Fault::TooFast(_) => Err(failure.into()),
    }
}

fn locked(name: String, key: String, token: Token) -> LockResponse {
    LockResponse { locked: true, name, key, error: None, fencing_token: token.0, frozen: String::new() }
}

fn not_locked(name: String, key: String, error: Option<LockError>) -> LockResponse {
    LockResponse { locked: false, name, key, error: error.map(Into::into), ..LockResponse::default() }
}
