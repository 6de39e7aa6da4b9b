//! `api.Api`: kufuli's service. `serviceID` is the owner. How long a request waits and how long a lock lasts are settings,
//! with kufuli's own values as defaults.
//!
//! Every outcome is status OK. Unlike kufuli's, a request whose client went away takes nothing.

use super::proto::{self, Request as LockRequest, Response as LockResponse};
use crate::config::Config;
use crate::domain::time::round_up_ms;
use crate::domain::{Acquire, Dialect, Name, Proof, Refusal, Wait};
use crate::engine::{Engine, Fault};
use crate::http::auth::may_take;
use crate::http::grpc::unary::{Call, Reply, unary_route};
use crate::http::{AppState, Code, Declaration, Failure, FieldNames, GrpcService, HoldDialect, Routes};
use arcstr::ArcStr;
use tonic::Status;

const NAMES: FieldNames = FieldNames { name: "resource", size: "size", lease: "max_lock_span", wait: "wait" };

pub static DECLARATION: Declaration = Declaration {
    label: "kufuli",
    dialect: Some(HoldDialect { id: Dialect::Kufuli, title: "kufuli", write_key: |key, _| key.to_string() }),
    services: &[GrpcService { name: "api.Api", descriptors: proto::DESCRIPTORS }],
    routes,
    documentation: None,
};

#[derive(Clone)]
struct Kufuli {
    app: AppState,
    /// How long a request waits; 0: it tries once.
    wait_ms: u64,
    max_lock_span_ms: u64,
}

fn routes(app: &AppState, config: &Config) -> Routes {
    let wait = config.locks.kufuli_wait;
    let state = Kufuli {
        app: AppState::clone(app),
        wait_ms: if wait.is_zero() { 0 } else { round_up_ms(wait) },
        max_lock_span_ms: round_up_ms(config.locks.kufuli_max_lock_span),
    };
    Routes::new()
        .route("/api.Api/RequestLock", unary_route!(Kufuli, request_lock))
        .route("/api.Api/ReleaseLock", unary_route!(Kufuli, release_lock))
        .with_state(state)
}

/// Takes a lock, or waits for it.
async fn request_lock(call: &Call<'_, Kufuli>, asked: LockRequest) -> Result<Reply<LockResponse>, Status> {
    may_take(&call.identity, &asked.resource)?;
    let (wait_ms, span_ms) = (call.state.wait_ms, call.state.max_lock_span_ms);
    let acquire = Acquire {
        label: Some(owner(&asked)),
        // Not reentrant: a service waits for itself, too.
        lease_ms: Some(span_ms),
        wait: (wait_ms > 0).then_some(Wait::Attached { timeout_ms: wait_ms }),
        caller: call.caller(),
        ..Acquire::new(Name::from(&*asked.resource), Engine::new_key(), Dialect::Kufuli)
    };
    match call.app.engine.acquire(acquire).await {
        Ok(hold) => {
            let message = LockResponse { success: true, error: String::new(), fencing_token: hold.token.0 };
            Ok(Reply { message, delivery: Some(hold.delivery) })
        }
        Err(Fault::Refused(
            Refusal::Held(_)
            | Refusal::WaitTimedOut
            | Refusal::WaitCancelled
            | Refusal::WaitDropped
            | Refusal::SizeMismatch { .. },
        )) => Ok(failed("Error: timeout while trying to acquire lock".to_owned()).into()),
        Err(fault) => answer_to_fault(&fault).map(Reply::from),
    }
}

async fn release_lock(call: &Call<'_, Kufuli>, asked: LockRequest) -> Result<Reply<LockResponse>, Status> {
    may_take(&call.identity, &asked.resource)?;
    let proof = Proof::Label { label: owner(&asked), token: None };
    match call.app.engine.release(Name::from(&*asked.resource), None, proof).await {
        Ok(_) => Ok(LockResponse { success: true, error: String::new(), fencing_token: 0 }.into()),
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey | Refusal::NotOwner)) => {
            Ok(failed(format!("Error: Could not release resource {}", asked.resource)).into())
        }
        Err(fault) => answer_to_fault(&fault).map(Reply::from),
    }
}

/// The label of a service. The line break keeps it apart from RaftLock's client ids, which have none.
fn owner(asked: &LockRequest) -> ArcStr {
    format!("kufuli\n{}", asked.service_id).into()
}

/// Refusals go into the answer, because kufuli's clients give up at any other status; retryable failures are a
/// status nevertheless.
fn answer_to_fault(fault: &Fault) -> Result<LockResponse, Status> {
    let failure = Failure::from_fault(fault, &NAMES);
    match fault {
        Fault::Refused(_) if !matches!(failure.code, Code::NotLeader | Code::Internal) => {
            Ok(failed(format!("Error: {}", failure.detail)))
        }
        Fault::Refused(_) | Fault::Engine(_) | Fault::Member(_) | Fault::TooFast(_) => Err(failure.into()),
    }
}

fn failed(error: String) -> LockResponse {
    LockResponse { success: false, error, fencing_token: 0 }
}
