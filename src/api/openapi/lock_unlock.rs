//! Lock/unlock JSON.

use super::kit::{Endpoint, ErrorShape, idempotency_key, json, post};
use crate::http::code::Code;
use serde_json::json as value;
use utoipa::openapi::Required;

pub const TAG: &str = "Lock/unlock JSON";
pub const ABOUT: &str = "The REST interface that RaftLock's README describes: `resource` and `ttl` in, a `lock_id` \
    out, which alone shows the right to unlock.";

const ERROR: ErrorShape = ErrorShape { content_type: "application/json", shape: Some("ResourceError") };

const ANY: [Code; 16] = [
    Code::MalformedBody,
    Code::InvalidField,
    Code::LimitExceeded,
    Code::BodyTooLarge,
    Code::BodyTimeout,
    Code::UnsupportedMediaType,
    Code::CredentialMissing,
    Code::CredentialWrong,
    Code::TooManyAttempts,
    Code::Forbidden,
    Code::NotLeader,
    Code::NoQuorum,
    Code::ShuttingDown,
    Code::OutcomeUnknown,
    Code::DiskFull,
    Code::Overloaded,
];

pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/lock", "lock_resource", TAG, "Take a lock")
            .about("Tries once, or waits up to `wait` seconds. A 409 says by whom the lock is held, for how long still, and how many wait.")
            .parameter(idempotency_key())
            .body("LockResource", Required::True, value!({"resource": "deploy", "ttl": 30}))
            .answer(200, json("Taken.", "ResourceLocked"))
            .errors(ERROR, &[&ANY[..], &[Code::Held, Code::WaitTimedOut, Code::SizeMismatch, Code::QueueFull, Code::HoldsFull, Code::TableFull, Code::ShareFull, Code::DiskNearlyFull, Code::RequestReused, Code::RequestEnded, Code::RequestsFull]].concat()),
        post("/unlock", "unlock_resource", TAG, "Give a lock back")
            .body("UnlockResource", Required::True, value!({"lock_id": "9e2c01020304450687080b0c0d0e0f10.ZGVwbG95"}))
            .answer(200, json("Given back.", "ResourceUnlocked"))
            .errors(ERROR, &[&ANY[..], &[Code::WrongKey]].concat()),
    ]
}
