//! The parts of answers: locks, moments, errors.

use super::check::detailed;
use crate::base::clock;
use crate::dialects::raftlock::proto::{ErrorCode, ErrorDetail, Lock};
use crate::domain::view::HoldView;
use crate::domain::{Dialect, Refusal, Timestamp};
use crate::engine::{EngineError, Fault};
use crate::http::frozen::text_of;
use crate::http::{AppState, Code, Failure, FieldNames};
use prost_types::{Duration as Span, Timestamp as Moment};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Status;

const NAMES: FieldNames = FieldNames { name: "lock_id", size: "size", lease: "ttl", wait: "timeout" };

/// The same moment by the wall clock and in cluster time, to convert others.
#[derive(Clone, Copy)]
pub struct Calendar {
    unix: Duration,
    now: Timestamp,
}

impl Calendar {
    pub fn of(app: &AppState) -> Calendar {
        Calendar { unix: clock::unix_time(), now: app.engine.now() }
    }

    /// By this node's wall clock, which no decision is made by.
    pub fn moment(self, at: Timestamp) -> Moment {
        let unix = (self.unix + at.since(self.now)).saturating_sub(self.now.since(at));
        let seconds = i64::try_from(unix.as_secs()).unwrap_or(i64::MAX);
        Moment { seconds, nanos: unix.subsec_nanos().try_into().unwrap_or(0) }
    }
}

pub fn span(duration: Duration) -> Span {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Span { seconds, nanos: duration.subsec_nanos().try_into().unwrap_or(0) }
}

/// For checked spans; a negative one is 0.
pub fn ms(span: Span) -> u64 {
    Duration::try_from(span).map_or(0, crate::domain::time::round_up_ms)
}

pub fn lock(lock_id: &str, hold: &HoldView, calendar: Calendar) -> Lock {
    Lock {
        lock_id: lock_id.to_owned(),
        owner_id: owner_id(hold.label.as_deref(), hold.dialect),
        version: version(hold.token.0),
        acquired_at: Some(calendar.moment(hold.since)),
        expires_at: hold.ends.map(|end| calendar.moment(end)),
        metadata: hold.metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

/// The client id; of holds and waiters of other dialects, which have none, the name of the dialect.
pub fn owner_id(label: Option<&str>, dialect: Dialect) -> String {
    match (dialect, label) {
        (Dialect::RaftLockGrpc, Some(label)) => label.to_owned(),
        _ => dialect.as_str().to_owned(),
    }
}

/// Tokens stay below 2^53.
pub fn version(token: u64) -> i64 {
    i64::try_from(token).unwrap_or(i64::MAX)
}

pub fn error(code: ErrorCode, message: impl Into<String>) -> ErrorDetail {
    ErrorDetail { code: code.into(), message: message.into(), details: BTreeMap::new() }
}

/// A refusal for the field `error`; any other fault is a status.
pub fn error_detail(fault: &Fault) -> Result<ErrorDetail, Status> {
    let Fault::Refused(refusal) = fault else {
        return Err(status(fault));
    };
    let (code, message) = match refusal {
        // The client knows these codes; its text is for people.
        Refusal::Frozen(by) => {
            let code = if by.waited { ErrorCode::Timeout } else { ErrorCode::LockHeld };
            return Ok(error(code, format!("lockmanager: {}", text_of(by))));
        }
        Refusal::Held(_) | Refusal::SizeMismatch { .. } => (ErrorCode::LockHeld, "lockmanager: lock is already held"),
        Refusal::NoSuchLock | Refusal::WrongKey => (ErrorCode::LockNotHeld, "lockmanager: lock is not currently held"),
        Refusal::NotOwner => (ErrorCode::NotLockOwner, "lockmanager: client is not the lock owner"),
        Refusal::TokenMismatch => (ErrorCode::VersionMismatch, "lockmanager: version mismatch"),
        Refusal::QueueFull { .. } => {
            (ErrorCode::WaitQueueFull, "lockmanager: wait queue is full (locks.waiters_per_lock_max)")
        }
        Refusal::NotWaiting => (ErrorCode::NotWaiting, "lockmanager: client not in wait queue"),
        Refusal::WaitTimedOut => (ErrorCode::Timeout, "lockmanager: the wait timed out"),
        Refusal::WaitCancelled => (
            ErrorCode::NotWaiting,
            "lockmanager: the wait was cancelled, or a later request of this client took it over",
        ),
        Refusal::WaitDropped => {
            (ErrorCode::NotWaiting, "lockmanager: an operator took the client out of the wait queue")
        }
        Refusal::RequestEnded => (ErrorCode::LockNotHeld, "lockmanager: the hold of this request has ended"),
        Refusal::HoldsFull { .. } => (ErrorCode::Unavailable, "lockmanager: the service is full (locks.holds_max)"),
        Refusal::IdempotencyKeysFull { .. } => {
            (ErrorCode::Unavailable, "lockmanager: the service is full (locks.requests_max)")
        }
        Refusal::TokensExhausted => (ErrorCode::Unavailable, "lockmanager: no fencing token is left"),
        _ => return Err(status(fault)),
    };
    Ok(error(code, message))
}

/// A status, with the detail by which RaftLock's Go client decides whether it sends the request again.
pub fn status(fault: &Fault) -> Status {
    let failure = Failure::from_fault(fault, &NAMES);
    let code = failure.code.grpc();
    match (fault, failure.code) {
        (Fault::Engine(EngineError::NoQuorum | EngineError::NotLeader), _) | (_, Code::NotLeader) => {
            Status::new(code, "server: no leader available in the cluster")
        }
        (Fault::Engine(EngineError::ShuttingDown), _) => Status::new(code, "server: server stopped"),
        // Without this detail the client would send the request to every node.
        (Fault::Engine(EngineError::OutcomeUnknown), _) => {
            detailed(code, ErrorCode::ReplicationFailure, &failure.detail, &[])
        }
        (_, Code::RequestReused | Code::LimitExceeded | Code::InvalidField) => {
            let is_reused = failure.code == Code::RequestReused;
            let field = if is_reused { "request_id" } else { failure.field.unwrap_or_default() };
            detailed(code, ErrorCode::InvalidArgument, &failure.detail, &[("field", field)])
        }
        _ => failure.into(),
    }
}

pub fn permission_denied(failure: Failure) -> Status {
    detailed(failure.code.grpc(), ErrorCode::PermissionDenied, &failure.detail, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_and_after_now_are_converted() {
        let calendar = Calendar { unix: Duration::from_millis(1_000_500), now: Timestamp(60_000) };
        assert_eq!(calendar.moment(Timestamp(61_250)), Moment { seconds: 1001, nanos: 750_000_000 });
        assert_eq!(calendar.moment(Timestamp(59_000)), Moment { seconds: 999, nanos: 500_000_000 });
    }

    #[test]
    fn unknown_outcome_carries_a_detail() {
        assert!(!status(&EngineError::OutcomeUnknown.into()).details().is_empty());
        let unavailable = status(&EngineError::NoQuorum.into());
        assert_eq!(unavailable.code(), tonic::Code::Unavailable);
        assert_eq!(unavailable.message(), "server: no leader available in the cluster");
    }
}
