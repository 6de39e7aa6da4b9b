//! Sessions v1, as the OpenAPI document describes it.

use crate::http::code::Code;
use crate::http::code_groups::{BODY, KEYED, NEW_HOLD, WRITE};
use crate::http::endpoint::{
    Bounds, Chapter, Documentation, Endpoint, ErrorShape, boolean, delete, idempotency_key, integer, json,
    json_with_cookie, metadata, number, object, post, request_id, required, string, with_header,
};
use serde_json::{Value, json as value};
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::{ComponentsBuilder, Ref, Required, Response};

pub const DOCUMENTATION: Documentation =
    Documentation { chapter: Chapter::Native, tag: TAG, about: ABOUT, endpoints, schemas };

const TAG: &str = "Sessions v1";
const ABOUT: &str = "The native dialect, and that of LDLM's REST clients. Open a session, keep its cookie, take \
    locks with it, and everything is given back when the session ends: when it is deleted, or when nothing was heard \
    from it for `sessions.idle_timeout`. What LDLM answers as 200 with an `error` object stays so.";

const GATEWAY: ErrorShape = ErrorShape { content_type: "application/json", shape: Some("GatewayError") };

/// Errors of every request of this dialect with a message, besides credential and session.
const MESSAGE: [Code; 5] =
    [Code::TooManyAttempts, Code::InvalidField, Code::LimitExceeded, Code::Forbidden, Code::UnsupportedMediaType];

/// Errors of requests with a session.
const IN_SESSION: [Code; 1] = [Code::SessionOfAnother];

fn endpoints(_: Bounds) -> Vec<Endpoint> {
    vec![
        open_session(),
        close_session(),
        lock(),
        unlock(),
        renew("/v1/renew", "renew", "Start a lease anew"),
        renew("/v1/refreshlock", "refresh_lock", "Start a lease anew (older name)"),
    ]
}

fn open_session() -> Endpoint {
    post("/session", "open_session", TAG, "Open a session")
        .about("The answer sets the cookie `ldlm-session`. The session ends when nothing is heard from it for its idle timeout. \
             It is of use with the credential that opened it. Where none is configured an `Idempotency-Key` is ignored.")
        .parameter(idempotency_key())
        .body("SessionRequest", Required::False, value!({"idle_timeout_seconds": 600}))
        .answer(201, json_with_cookie("The session is open.", "SessionAnswer"))
        .answer(401, no_credential())
        .errors(GATEWAY, &[&BODY, &MESSAGE, &WRITE, &[Code::SessionsFull, Code::DiskNearlyFull, Code::TableFull, Code::ShareFull], &KEYED])
}

fn close_session() -> Endpoint {
    delete("/session", "close_session", TAG, "Close a session")
        .about("Gives back all that the session holds, and ends its waits.")
        .with_session()
        .answer(200, json_with_cookie("The session is closed; the cookie is emptied.", "SessionAnswer"))
        .answer(401, json("No credential (then without a body), or no session cookie.", "SessionError"))
        .answer(409, json("The session is not known.", "SessionError"))
        .errors(GATEWAY, &[&[Code::TooManyAttempts, Code::Forbidden], &WRITE, &IN_SESSION])
}

fn lock() -> Endpoint {
    post("/v1/lock", "lock", TAG, "Take a lock")
        .about(
            "Without `wait_timeout_seconds` it tries once. With it the request waits in the lock's queue, first come \
             first served, and leaves it when the time is over or the connection closes. Without \
             `lock_timeout_seconds` the hold lives as long as its session. What is beyond a limit is told as `error`; \
             where the limit is one of a pool and the request has an idempotency key, by a status.",
        )
        .with_session()
        .parameter(idempotency_key())
        .body(
            "LockRequest",
            Required::True,
            value!({"name": "deploy/production", "lock_timeout_seconds": 30, "wait_timeout_seconds": 0.5, "metadata": {"host": "web-1"}}),
        )
        .answer(200, json_with_cookie("Taken, or not: `locked` tells. An `error` says why where it is more than plain contention.", "LockAnswer"))
        .answer(401, no_session())
        .errors(GATEWAY, &[&BODY, &MESSAGE, &WRITE, &IN_SESSION, &[Code::QueueFull, Code::SessionHoldsFull], &NEW_HOLD, &KEYED])
}

fn unlock() -> Endpoint {
    post("/v1/unlock", "unlock", TAG, "Give a lock back")
        .about("Name and key show the right to; the session need not be the one that took it.")
        .with_session()
        .body("UnlockRequest", Required::True, with_key(value!({})))
        .answer(200, json_with_cookie("Given back, or not: `unlocked` tells, and `error` says why.", "UnlockAnswer"))
        .answer(401, no_session())
        .errors(GATEWAY, &[&BODY, &MESSAGE, &WRITE, &IN_SESSION])
}

fn renew(path: &'static str, id: &str, summary: &str) -> Endpoint {
    post(path, id, TAG, summary)
        .about(
            "The lease ends `lock_timeout_seconds` from now, which may be sooner than before. The fencing token stays. \
             `locked: false` means that the hold is lost; a hold without a lease, or no new lease, is 400.",
        )
        .with_session()
        .body("RenewRequest", Required::True, with_key(value!({"lock_timeout_seconds": 30})))
        .answer(200, json_with_cookie("Renewed, or not: `locked` tells, and `error` says why.", "LockAnswer"))
        .answer(401, no_session())
        .errors(GATEWAY, &[&BODY, &MESSAGE, &WRITE, &IN_SESSION])
}

fn with_key(mut example: Value) -> Value {
    example["name"] = "deploy/production".into();
    example["key"] = "9e2c0102-0304-4506-8708-090a0b0c0d0e".into();
    example
}

fn no_session() -> Response {
    json("No credential (then without a body), or no session cookie, or its session has ended.", "SessionError")
}

fn no_credential() -> Response {
    let response = Response::new("No credential, or a wrong one; without a body.");
    with_header(response, "WWW-Authenticate", "`Basic realm=\"Restricted\"`")
}

fn schemas(components: ComponentsBuilder, bounds: Bounds) -> ComponentsBuilder {
    let error = object("Absent on success and on plain contention.")
        .property(
            "code",
            string("").enum_values(Some([
                "Unknown",
                "LockDoesNotExist",
                "InvalidLockKey",
                "LockWaitTimeout",
                "LockSizeMismatch",
                "InvalidLockSize",
            ])),
        )
        .required("code")
        .property("message", string(""))
        .required("message")
        .property("field", string("The field that is beyond its limit."))
        .property("limit", number("The bound that was exceeded."))
        .property("config_key", string("The key of the server's `config.toml` that sets it."));
    components
        .schema("LockError", error)
        .schema(
            "SessionAnswer",
            required(object(""), [("session_id", string("128 random bits in hex; empty after closing."))])
                .property("idle_timeout_seconds", number("How long it lives without a request; absent after closing.")),
        )
        .schema(
            "SessionRequest",
            object("").property(
                "idle_timeout_seconds",
                number("How long the session shall live without a request, up to `sessions.idle_timeout_max`. Absent: `sessions.idle_timeout`."),
            ),
        )
        .schema("SessionError", required(object(""), [("error", string(""))]))
        .schema("GatewayError", gateway_error())
        .schema("LockRequest", lock_request(bounds))
        .schema("LockAnswer", lock_answer())
        .schema("UnlockRequest", required(object(""), [("name", bounds.lock_name()), ("key", key())]))
        .schema(
            "UnlockAnswer",
            required(object(""), [("unlocked", boolean("")), ("name", string(""))])
                .property("error", Ref::from_schema_name("LockError")),
        )
        .schema(
            "RenewRequest",
            required(
                object(""),
                [
                    ("name", bounds.lock_name()),
                    ("key", key()),
                    ("lock_timeout_seconds", number("The new lease, from now; must be greater than 0.")),
                ],
            ),
        )
}

/// No field has a `default`: generators would make it a required one.
fn lock_request(bounds: Bounds) -> ObjectBuilder {
    required(object(""), [("name", bounds.lock_name())])
        .property("lock_timeout_seconds", number("The lease. Absent or 0: as long as the session."))
        .property("wait_timeout_seconds", number("How long to wait in the queue. Absent or 0: try once."))
        .property("size", integer("How many may hold the lock at once. Absent: 1."))
        .property("metadata", metadata("What others may know about the holder."))
        .property("request_id", request_id())
}

fn lock_answer() -> ObjectBuilder {
    required(object(""), [("locked", boolean("")), ("name", string("")), ("key", key())])
        .property("fencing_token", integer("Where locked: higher than every token given before, in the whole service."))
        .property("expires_in_seconds", number("Where locked: when the hold ends if nothing more is heard of its session: with its lease, or with the session where that is sooner."))
        .property("error", Ref::from_schema_name("LockError"))
}

fn gateway_error() -> ObjectBuilder {
    let details = utoipa::openapi::schema::ArrayBuilder::new().items(object("")).build();
    required(object("The error shape of LDLM's gateway."), [("code", integer("A gRPC code.")), ("message", string(""))])
        .property("details", details)
        .required("details")
}

fn key() -> ObjectBuilder {
    string("Shows the right to renew and to release; a UUID.")
}
