//! Lock by name.

use super::super::code::Code;
use super::kit::{Endpoint, ErrorShape, delete, get, json, path, post, string, with_header};
use serde_json::json as value;
use utoipa::openapi::path::Parameter;

pub const TAG: &str = "Lock by name";
pub const ABOUT: &str = "lockd's REST interface: the path is the lock. It has no owner and no lease, so anybody may \
    release what was taken here, and a hold ends only by a release, by `locks.max_hold` where that is set, or by force.";

const ERROR: ErrorShape = ErrorShape { content_type: "application/json", shape: Some("NamedLockError") };

const ANY: [Code; 11] = [
    Code::InvalidField,
    Code::CredentialMissing,
    Code::CredentialWrong,
    Code::TooManyAttempts,
    Code::Forbidden,
    Code::NotLeader,
    Code::NoQuorum,
    Code::ShuttingDown,
    Code::OutcomeUnknown,
    Code::StorageFailed,
    Code::Overloaded,
];

pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/lock/{name}", "is_locked", TAG, "Ask whether a lock is held")
            .parameter(name())
            .answer(200, json("It is held, through whatever dialect.", "NamedLock"))
            .answer(404, json("It is not held.", "NamedLockError"))
            .errors(ERROR, &ANY),
        post("/lock/{name}", "lock_by_name", TAG, "Take a lock")
            .parameter(name())
            .answer(
                200,
                with_header(json("Taken.", "NamedLock"), "Fencing-Token", "Higher than every token given before."),
            )
            .answer(409, json("Somebody holds it, or waits for it.", "NamedLockError"))
            .errors(ERROR, &[&ANY[..], &[Code::HoldsFull, Code::DiskNearlyFull]].concat()),
        delete("/lock/{name}", "unlock_by_name", TAG, "Give a lock back")
            .about("Releases only what was taken through this dialect.")
            .parameter(name())
            .answer(200, json("Given back.", "NamedLock"))
            .answer(404, json("Nothing was taken here under this name.", "NamedLockError"))
            .errors(ERROR, &ANY),
    ]
}

fn name() -> Parameter {
    let schema = string("").pattern(Some("^[A-Za-z0-9$._-]{1,128}$")).examples([value!("deploy")]);
    path("name", "Letters, digits and `$ - . _`, at most 128.", schema)
}
