//! `api.Api`: kufuli's service. Who holds a lock is said by `serviceID`; it waits as long as kufuli's own attempts took
//! and lasts as long as kufuli's own locks did, both configurable.
//!
//! Every outcome is status OK. Unlike kufuli's, a request whose client went away takes nothing.

use crate::domain::{Acquire, Dialect, Name, Proof, Refusal, Wait};
use crate::engine::{Engine, Fault};
use crate::http::auth::may_take;
use crate::http::code::{Code, FieldNames};
use crate::http::failure::Failure;
use crate::http::grpc::proto::kufuli::{Request as Asked, Response as Answer};
use crate::http::grpc::unary::{Call, Reply, unary};
use crate::http::service::Shared;
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;
use tonic::Status;

const NAMES: FieldNames = FieldNames { name: "resource", size: "size", lease: "max_lock_span", wait: "wait" };

/// Takes a lock, or waits for it.
pub async fn request_lock(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, take).await
}

/// Gives a lock back.
pub async fn release_lock(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, give_back).await
}

async fn take(call: &Call<'_>, asked: Asked) -> Result<Reply<Answer>, Status> {
    may_take(&call.identity, &asked.resource)?;
    let settings = &call.service.settings;
    let acquire = Acquire {
        label: Some(owner(&asked)),
        // The same service waits for itself too.
        lease_ms: Some(settings.kufuli_max_lock_span_ms),
        wait: (settings.kufuli_wait_ms > 0).then_some(Wait::Attached { timeout_ms: settings.kufuli_wait_ms }),
        caller: call.caller(),
        ..Acquire::new(Name::from(&*asked.resource), Engine::new_key(), Dialect::Kufuli)
    };
    match call.service.engine.acquire(acquire).await {
        Ok(hold) => {
            let message = Answer { success: true, error: String::new(), fencing_token: hold.token.0 };
            Ok(Reply { message, delivery: Some(hold.delivery) })
        }
        Err(Fault::Refused(
            Refusal::Held(_) | Refusal::WaitTimedOut | Refusal::WaitCancelled | Refusal::SizeMismatch { .. },
        )) => Ok(failed("Error: timeout while trying to acquire lock".to_owned()).into()),
        Err(fault) => told(&fault).map(Reply::from),
    }
}

async fn give_back(call: &Call<'_>, asked: Asked) -> Result<Reply<Answer>, Status> {
    may_take(&call.identity, &asked.resource)?;
    let proof = Proof::Label { label: owner(&asked), token: None };
    match call.service.engine.release(Name::from(&*asked.resource), None, proof).await {
        Ok(_) => Ok(Answer { success: true, error: String::new(), fencing_token: 0 }.into()),
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey | Refusal::NotOwner)) => {
            Ok(failed(format!("Error: Could not release resource {}", asked.resource)).into())
        }
        Err(fault) => told(&fault).map(Reply::from),
    }
}

/// The label of a service. The line break keeps it apart from RaftLock's client ids, which have none.
fn owner(asked: &Asked) -> Arc<str> {
    format!("kufuli\n{}", asked.service_id).into()
}

/// kufuli's clients take any status but OK for the end; what asking again may cure is one nevertheless.
fn told(fault: &Fault) -> Result<Answer, Status> {
    let failure = Failure::from_fault(fault, &NAMES);
    match fault {
        Fault::Refused(_) if !matches!(failure.code, Code::NotLeader | Code::Internal) => {
            Ok(failed(format!("Error: {}", failure.detail)))
        }
        Fault::Refused(_) | Fault::Engine(_) | Fault::Member(_) => Err(failure.into()),
    }
}

fn failed(error: String) -> Answer {
    Answer { success: false, error, fencing_token: 0 }
}
