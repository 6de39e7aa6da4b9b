//! Lock/unlock JSON, as the OpenAPI document describes it.

use super::schema;
use crate::http::code::Code;
use crate::http::code_groups::{BODY, CREDENTIAL, KEYED, NEW_HOLD, WRITE};
use crate::http::endpoint::{
    Bounds, Chapter, Documentation, Endpoint, ErrorShape, idempotency_key, json, metadata, number, object, post,
    request_id, required, string,
};
use serde_json::json as value;
use utoipa::PartialSchema as _;
use utoipa::openapi::{ComponentsBuilder, Required};

pub const DOCUMENTATION: Documentation =
    Documentation { chapter: Chapter::Predecessor, tag: TAG, about: ABOUT, endpoints, schemas };

const TAG: &str = "Lock/unlock JSON";
const ABOUT: &str = "The REST interface that RaftLock's README describes: `resource` and `ttl` in, a `lock_id` \
    out, which alone shows the right to unlock.";

const ERROR: ErrorShape = ErrorShape { content_type: "application/json", shape: Some("ResourceError") };

const MESSAGE: [Code; 4] = [Code::InvalidField, Code::LimitExceeded, Code::UnsupportedMediaType, Code::Forbidden];

fn endpoints(_: Bounds) -> Vec<Endpoint> {
    vec![
        post("/lock", "lock_resource", TAG, "Take a lock")
            .about("Tries once, or waits up to `wait` seconds. A 409 says by whom the lock is held, for how long still, and how many wait.")
            .parameter(idempotency_key())
            .body("LockResource", Required::True, value!({"resource": "deploy", "ttl": 30}))
            .answer(200, json("Taken.", "ResourceLocked"))
            .errors(ERROR, &[&BODY, &MESSAGE, &CREDENTIAL, &WRITE, &[Code::Held, Code::WaitTimedOut, Code::SizeMismatch, Code::QueueFull], &NEW_HOLD, &KEYED]),
        post("/unlock", "unlock_resource", TAG, "Give a lock back")
            .body("UnlockResource", Required::True, value!({"lock_id": "9e2c01020304450687080b0c0d0e0f10.ZGVwbG95"}))
            .answer(200, json("Given back.", "ResourceUnlocked"))
            .errors(ERROR, &[&BODY, &MESSAGE, &CREDENTIAL, &WRITE, &[Code::WrongKey]]),
    ]
}

fn schemas(components: ComponentsBuilder, bounds: Bounds) -> ComponentsBuilder {
    let lock = required(object(""), [("resource", bounds.lock_name())])
        .property("ttl", number("The lease in seconds. Absent: 30, as `locks.lock_unlock_ttl` says."))
        .property("wait", number("How many seconds to wait in the queue. Absent: it tries once."))
        .property("metadata", metadata("What others may know about the holder."))
        .property("request_id", request_id());
    components
        .schema("LockResource", lock)
        .schema("ResourceLocked", schema::Locked::schema())
        .schema("UnlockResource", required(object(""), [("lock_id", string("As `POST /lock` answered it."))]))
        .schema("ResourceUnlocked", schema::Unlocked::schema())
        .schema("ResourceError", schema::ErrorAnswer::schema())
        .schema_from::<schema::ErrorBody>()
        .schema_from::<schema::Holder>()
}
