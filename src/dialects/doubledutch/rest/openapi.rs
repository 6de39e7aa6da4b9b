//! GET_LOCK style, as the OpenAPI document describes it.

use super::schema;
use crate::http::code::Code;
use crate::http::code_groups::{KEYED, NEW_HOLD, WRITE};
use crate::http::endpoint::{
    Bounds, Chapter, Documentation, Endpoint, ErrorShape, delete, get, idempotency_key, json, number, object, query,
    required, string, text,
};
use serde_json::json as value;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::{ComponentsBuilder, Ref, Response};

pub const DOCUMENTATION: Documentation =
    Documentation { chapter: Chapter::Predecessor, tag: TAG, about: ABOUT, endpoints, schemas };

const TAG: &str = "GET_LOCK style";
const ABOUT: &str = "DoubleDutch's three endpoints: parameters in the query string, the password or API key as \
    `auth` there or in a header. The `sessiontoken` shows the right to release. A request with a session cookie ties \
    its hold to that session.";

const ERROR: ErrorShape = ErrorShape { content_type: "application/json", shape: Some("GetLockError") };

fn endpoints(bounds: Bounds) -> Vec<Endpoint> {
    vec![get_lock(bounds), release_lock(bounds), status()]
}

fn get_lock(bounds: Bounds) -> Endpoint {
    let own = [
        Code::InvalidField,
        Code::LimitExceeded,
        Code::Forbidden,
        Code::SessionOfAnother,
        Code::QueueFull,
        Code::SessionHoldsFull,
    ];
    get("/getlock", "get_lock", TAG, "Take a lock")
        .about("Waits up to `timeout` seconds in the lock's queue. Answers are never cached, and HEAD takes nothing.")
        .parameter(name(bounds))
        .parameter(auth())
        .parameter(query("lifetime", "Seconds until the lock is given back by itself.", false, seconds(30)))
        .parameter(query("timeout", "Seconds to wait for the lock.", false, seconds(0)))
        .parameter(idempotency_key())
        .answer(200, either("Taken, or not: `lockacquired` tells.", &["GetLockTaken", "GetLockNotTaken"]))
        .answer(401, json("No credential, a wrong one, or a session cookie whose session has ended.", "GetLockError"))
        .errors(ERROR, &[&[Code::TooManyAttempts], &WRITE, &own, &NEW_HOLD, &KEYED])
}

fn release_lock(bounds: Bounds) -> Endpoint {
    delete("/releaselock", "release_lock", TAG, "Give a lock back")
        .about("A token that fits is enough; `auth` may be left out, as older clients do.")
        .parameter(name(bounds))
        .parameter(query("token", "The `sessiontoken` of `GET /getlock`.", true, string("")))
        .parameter(auth())
        .answer(200, json("Given back.", "GetLockReleased"))
        .answer(
            400,
            either(
                "A parameter is missing, or nothing that this token opens is held.",
                &["GetLockReleased", "GetLockError"],
            ),
        )
        .answer(401, json("A wrong credential.", "GetLockError"))
        .errors(ERROR, &[&[Code::TooManyAttempts], &WRITE, &[Code::Forbidden]])
}

fn status() -> Endpoint {
    let mut shown = json("The holds of this dialect; with `Accept: text/html` the status page.", "GetLockStatus");
    shown.content.extend(text("", "text/html").content);
    get("/status", "status", TAG, "List the holds")
        .about("Tokens are shown to admins only. A browser, which asks for `text/html`, gets the status page.")
        .parameter(auth())
        .answer(200, shown)
        .answer(
            400,
            either("No credential, or a parameter that is not known.", &["GetLockStatusError", "GetLockError"]),
        )
        .answer(401, json("A wrong credential; on the page also a missing one.", "GetLockStatusError"))
        .errors(ERROR, &[&[Code::TooManyAttempts], &WRITE])
}

/// One of several JSON shapes.
fn either(about: &str, shapes: &[&str]) -> Response {
    let one_of = shapes
        .iter()
        .fold(utoipa::openapi::schema::AnyOfBuilder::new(), |any, shape| any.item(Ref::from_schema_name(*shape)));
    let content = utoipa::openapi::content::ContentBuilder::new().schema(Some(one_of)).build();
    utoipa::openapi::ResponseBuilder::new().description(about).content("application/json", content).build()
}

fn name(bounds: Bounds) -> Parameter {
    query(
        "lockname",
        "The lock's name.",
        true,
        string("").max_length(Some(bounds.name_bytes_max)).examples([value!("deploy")]),
    )
}

fn auth() -> Parameter {
    query("auth", "A password or an API key, if it is not in a header.", false, string(""))
}

fn seconds(default: u64) -> utoipa::openapi::schema::ObjectBuilder {
    number("").minimum(Some(0)).default(Some(value!(default)))
}

fn schemas(components: ComponentsBuilder, _: Bounds) -> ComponentsBuilder {
    let error = |key| {
        required(object(""), [(key, string("")), ("code", string("")), ("servername", string(""))])
            .property("field", string("The parameter at fault."))
            .property("limit", number("The bound that was exceeded."))
            .property("config_key", string("The key of the server's `config.toml` that sets it."))
    };
    components
        .schema("GetLockError", error("error"))
        .schema("GetLockStatusError", error("status"))
        .schema("GetLockTaken", schema::Taken::schema())
        .schema("GetLockNotTaken", schema::NotTaken::schema())
        .schema("GetLockReleased", schema::ReleaseAnswer::schema())
        .schema("GetLockStatus", schema::StatusAnswer::schema())
        .schema_from::<schema::OwnHold>()
        .schema_from::<schema::OtherHold>()
}
