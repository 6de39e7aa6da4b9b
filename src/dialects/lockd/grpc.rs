//! `lockapi.Locking`: lockd's gRPC service, its second generation. A name is locked or it is not, and every client
//! that knows the name may unlock it.
//!
//! It and lock by name over HTTP are two generations of one product, so each unlocks holds of the other, but not
//! those of other dialects. `locks.max_hold` bounds the holds of both.

use super::proto::{self, LockName, LockResult, LockState};
use super::{Lockd, NAMES, release_by_name};
use crate::config::Config;
use crate::domain::{Acquire, Dialect, Name, Refusal};
use crate::engine::{Engine, Fault};
use crate::http::auth::{may_read, may_take};
use crate::http::frozen::text_of;
use crate::http::grpc::unary::{Call, Reply, unary_route};
use crate::http::{AppState, Declaration, Failure, GrpcService, HoldDialect, Routes};
use tonic::Status;

pub static DECLARATION: Declaration = Declaration {
    label: "lockd_grpc",
    dialect: Some(HoldDialect { id: Dialect::LockdGrpc, title: "lockd gRPC", write_key: |key, _| key.to_string() }),
    services: &[GrpcService { name: "lockapi.Locking", descriptors: proto::DESCRIPTORS }],
    routes,
    documentation: None,
};

fn routes(app: &AppState, config: &Config) -> Routes {
    Routes::new()
        .route("/lockapi.Locking/IsLocked", unary_route!(Lockd, is_locked))
        .route("/lockapi.Locking/Lock", unary_route!(Lockd, lock))
        .route("/lockapi.Locking/Unlock", unary_route!(Lockd, unlock))
        .with_state(Lockd::new(app, config))
}

async fn is_locked(call: &Call<'_, Lockd>, asked: LockName) -> Result<Reply<LockState>, Status> {
    may_read(&call.identity, &asked.name)?;
    let (lock, _) = call.app.engine.lock(&Name::from(&*asked.name)).await.map_err(explain)?;
    let is_locked = lock.is_some_and(|lock| !lock.holds.is_empty());
    Ok(LockState { name: asked.name, is_locked }.into())
}

/// Releases a lock, whichever client took it.
async fn unlock(call: &Call<'_, Lockd>, asked: LockName) -> Result<Reply<LockResult>, Status> {
    may_take(&call.identity, &asked.name)?;
    let released = release_by_name(&call.app.engine, &asked.name, Dialect::LockdGrpc);
    let success = released.await.map_err(explain)?;
    Ok(LockResult { success, ..LockResult::default() }.into())
}

/// Takes a lock if it is free.
async fn lock(call: &Call<'_, Lockd>, asked: LockName) -> Result<Reply<LockResult>, Status> {
    may_take(&call.identity, &asked.name)?;
    let acquire = Acquire {
        lease_ms: call.state.max_hold_ms,
        caller: call.caller(),
        ..Acquire::new(Name::from(&*asked.name), Engine::new_key(), Dialect::LockdGrpc)
    };
    match call.app.engine.acquire(acquire).await {
        Ok(hold) => {
            let message = LockResult { success: true, fencing_token: hold.token.0, ..LockResult::default() };
            Ok(Reply { message, delivery: Some(hold.delivery) })
        }
        Err(Fault::Refused(Refusal::Held(_) | Refusal::WaitTimedOut | Refusal::SizeMismatch { .. })) => {
            Ok(LockResult::default().into())
        }
        Err(Fault::Refused(Refusal::Frozen(by))) => {
            Ok(LockResult { frozen: text_of(&by), ..LockResult::default() }.into())
        }
        Err(fault) => Err(explain(fault)),
    }
}

fn explain(fault: Fault) -> Status {
    Failure::from_fault(&fault, &NAMES).into()
}
