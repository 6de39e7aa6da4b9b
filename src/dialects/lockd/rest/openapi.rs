//! Lock by name, as the OpenAPI document describes it.

use crate::http::code::Code;
use crate::http::code_groups::{CREDENTIAL, KEYED, NEW_HOLD, WRITE};
use crate::http::endpoint::{
    Bounds, Chapter, Documentation, Endpoint, ErrorShape, delete, get, idempotency_key, json, object, path, post,
    required, string, text, with_header,
};
use serde_json::json as value;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::{ComponentsBuilder, Response};

pub const DOCUMENTATION: Documentation =
    Documentation { chapter: Chapter::Predecessor, tag: TAG, about: ABOUT, endpoints, schemas };

const TAG: &str = "Lock by name";
const ABOUT: &str = "lockd's REST interface: the path is the lock. It has no owner and no lease, so anybody may \
    release what was taken here, and a hold ends only by a release, by `locks.max_hold` where that is set, or by force.";

const ERROR: ErrorShape = ErrorShape { content_type: "application/json", shape: Some("NamedLockError") };

const NAMED: [Code; 2] = [Code::InvalidField, Code::Forbidden];

fn endpoints(_: Bounds) -> Vec<Endpoint> {
    let is_locked = get("/lock/{name}", "is_locked", TAG, "Ask whether a lock is held")
        .parameter(name())
        .answer(200, json("It is held, through whatever dialect.", "NamedLock"))
        .answer(301, text(SLASH, "text/html; charset=utf-8"))
        .answer(404, not_found("It is not held."))
        .errors(ERROR, &[&NAMED, &CREDENTIAL, &WRITE]);
    let taken = with_header(json("Taken.", "NamedLock"), "Fencing-Token", "Higher than every token given before.");
    let lock = post("/lock/{name}", "lock_by_name", TAG, "Take a lock")
        .parameter(name())
        .parameter(idempotency_key())
        .answer(200, taken)
        .answer(307, Response::new(SLASH))
        .answer(404, not_found(SPLIT))
        .answer(409, json("Somebody holds it, or waits for it.", "NamedLockError"))
        .errors(ERROR, &[&NAMED, &CREDENTIAL, &WRITE, &NEW_HOLD, &KEYED]);
    let unlock = delete("/lock/{name}", "unlock_by_name", TAG, "Give a lock back")
        .about("Releases only what was taken through this dialect.")
        .parameter(name())
        .answer(200, json("Given back.", "NamedLock"))
        .answer(307, Response::new(SLASH))
        .answer(404, not_found("Nothing was taken here under this name."))
        .errors(ERROR, &[&NAMED, &CREDENTIAL, &WRITE]);
    vec![is_locked, lock, unlock]
}

const SLASH: &str = "The name ends in a slash: `Location` is the path without it.";
const SPLIT: &str = "A name with a slash, also an encoded one, is no name here (then as text).";

/// lockd has two forms of 404: JSON for a lock that is not held, text for an invalid name.
fn not_found(about: &str) -> Response {
    let mut response = json(about, "NamedLockError");
    response.content.extend(text("", "text/plain").content);
    response
}

fn name() -> Parameter {
    let schema = string("").pattern(Some("^[A-Za-z0-9$._-]{1,128}$")).examples([value!("deploy")]);
    path("name", "Letters, digits and `$ - . _`, at most 128.", schema)
}

fn schemas(components: ComponentsBuilder, _: Bounds) -> ComponentsBuilder {
    components
        .schema("NamedLock", object("Empty."))
        .schema("NamedLockError", required(object(""), [("error", string(""))]))
}
