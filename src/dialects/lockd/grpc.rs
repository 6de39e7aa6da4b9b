//! `lockapi.Locking`: lockd's gRPC service, its second generation. A name is locked or it is not, and whoever knows the
//! name may unlock it.
//!
//! It and lock by name over HTTP are two generations of one product, so each unlocks what the other locked; what other
//! dialects hold, neither does. `locks.max_hold` bounds the holds of both.

use crate::dialects::lockd::rest::release_by_name;
use crate::domain::{Acquire, Dialect, Name, Refusal};
use crate::engine::{Engine, Fault};
use crate::http::auth::{may_read, may_take};
use crate::http::code::FieldNames;
use crate::http::failure::Failure;
use crate::http::grpc::proto::lockd::{LockName, LockResult, LockState};
use crate::http::grpc::unary::{Call, Reply, unary};
use crate::http::service::Shared;
use axum::extract::{Request, State};
use axum::response::Response;
use tonic::Status;

const NAMES: FieldNames = FieldNames { name: "name", size: "size", lease: "max_hold", wait: "wait" };

/// Whether anybody holds the lock.
pub async fn is_locked(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, async |call, asked: LockName| {
        may_read(&call.identity, &asked.name)?;
        let lock = call.service.engine.lock(&Name::from(&*asked.name)).await;
        let (lock, _) = lock.map_err(explain)?;
        let is_locked = lock.is_some_and(|lock| !lock.holds.is_empty());
        Ok(LockState { name: asked.name, is_locked }.into())
    })
    .await
}

/// Takes a lock if it is free.
pub async fn lock(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, take).await
}

/// Gives a lock back, whoever took it.
pub async fn unlock(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, async |call, asked: LockName| {
        may_take(&call.identity, &asked.name)?;
        let released = release_by_name(&call.service.engine, &asked.name, Dialect::LockdGrpc);
        let success = released.await.map_err(explain)?;
        Ok(LockResult { success, fencing_token: 0 }.into())
    })
    .await
}

async fn take(call: &Call<'_>, asked: LockName) -> Result<Reply<LockResult>, Status> {
    may_take(&call.identity, &asked.name)?;
    let acquire = Acquire {
        lease_ms: call.service.settings.max_hold_ms,
        caller: call.caller(),
        ..Acquire::new(Name::from(&*asked.name), Engine::new_key(), Dialect::LockdGrpc)
    };
    match call.service.engine.acquire(acquire).await {
        Ok(hold) => {
            let message = LockResult { success: true, fencing_token: hold.token.0 };
            Ok(Reply { message, delivery: Some(hold.delivery) })
        }
        Err(Fault::Refused(Refusal::Held(_) | Refusal::WaitTimedOut | Refusal::SizeMismatch { .. })) => {
            Ok(LockResult { success: false, fencing_token: 0 }.into())
        }
        Err(fault) => Err(explain(fault)),
    }
}

fn explain(fault: Fault) -> Status {
    Failure::from_fault(&fault, &NAMES).into()
}
