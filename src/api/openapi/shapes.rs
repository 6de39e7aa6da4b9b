//! The JSON shapes of bodies and answers.

use super::kit::{boolean, integer, metadata, number, object, string};
use crate::api::cluster::{AddMemberRequest, Cluster, Member};
use crate::api::{
    Dropped, Event, ForceReleaseRequest, ForcedRelease, Hold, Lock, LockList, Session, SessionList, StateEvent,
};
use crate::dialects::doubledutch::rest::schema as get_lock;
use crate::dialects::raftlock::rest::schema as lock_unlock;
use crate::http::problem::Problem;
use utoipa::PartialSchema as _;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::{ComponentsBuilder, Ref};

pub fn all(components: ComponentsBuilder) -> ComponentsBuilder {
    let components = components
        .schema_from::<Problem>()
        .schema_from::<LockList>()
        .schema_from::<Lock>()
        .schema_from::<Hold>()
        .schema_from::<Session>()
        .schema_from::<SessionList>()
        .schema_from::<Event>()
        .schema_from::<StateEvent>()
        .schema_from::<Dropped>()
        .schema_from::<ForcedRelease>()
        .schema_from::<ForceReleaseRequest>()
        .schema_from::<Cluster>()
        .schema_from::<Member>()
        .schema_from::<AddMemberRequest>()
        .schema("Document", object("An OpenAPI 3.1 document."));
    lock_by_name(lock_unlock_json(get_lock_style(sessions_v1(components))))
}

fn sessions_v1(components: ComponentsBuilder) -> ComponentsBuilder {
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
        .schema("LockRequest", lock_request())
        .schema("LockAnswer", lock_answer())
        .schema("UnlockRequest", required(object(""), [("name", name()), ("key", key())]))
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
                    ("name", name()),
                    ("key", key()),
                    ("lock_timeout_seconds", number("The new lease, from now; must be greater than 0.")),
                ],
            ),
        )
}

/// No field has a `default` here: what generates types takes such a field for one that is always there.
fn lock_request() -> ObjectBuilder {
    required(object(""), [("name", name())])
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

fn get_lock_style(components: ComponentsBuilder) -> ComponentsBuilder {
    let error = |key| {
        required(object(""), [(key, string("")), ("code", string("")), ("servername", string(""))])
            .property("field", string("The parameter at fault."))
            .property("limit", number("The bound that was exceeded."))
            .property("config_key", string("The key of the server's `config.toml` that sets it."))
    };
    components
        .schema("GetLockError", error("error"))
        .schema("GetLockStatusError", error("status"))
        .schema("GetLockTaken", get_lock::Taken::schema())
        .schema("GetLockNotTaken", get_lock::NotTaken::schema())
        .schema("GetLockReleased", get_lock::ReleaseAnswer::schema())
        .schema("GetLockStatus", get_lock::StatusAnswer::schema())
        .schema_from::<get_lock::OwnHold>()
        .schema_from::<get_lock::OtherHold>()
}

fn lock_unlock_json(components: ComponentsBuilder) -> ComponentsBuilder {
    let lock = required(object(""), [("resource", name())])
        .property("ttl", number("The lease in seconds. Absent: 30, as `locks.lock_unlock_ttl` says."))
        .property("wait", number("How many seconds to wait in the queue. Absent: it tries once."))
        .property("metadata", metadata("What others may know about the holder."))
        .property("request_id", request_id());
    components
        .schema("LockResource", lock)
        .schema("ResourceLocked", lock_unlock::Locked::schema())
        .schema("UnlockResource", required(object(""), [("lock_id", string("As `POST /lock` answered it."))]))
        .schema("ResourceUnlocked", lock_unlock::Unlocked::schema())
        .schema("ResourceError", lock_unlock::ErrorAnswer::schema())
        .schema_from::<lock_unlock::ErrorBody>()
        .schema_from::<lock_unlock::Holder>()
}

fn lock_by_name(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema("NamedLock", object("Empty."))
        .schema("NamedLockError", required(object(""), [("error", string(""))]))
}

fn name() -> ObjectBuilder {
    string("UTF-8 without NUL.").max_length(Some(512))
}

fn request_id() -> ObjectBuilder {
    string("The same as the header `Idempotency-Key`.").min_length(Some(1)).max_length(Some(255))
}

fn key() -> ObjectBuilder {
    string("Shows the right to renew and to release; a UUID.")
}

fn required<const N: usize>(object: ObjectBuilder, properties: [(&str, ObjectBuilder); N]) -> ObjectBuilder {
    properties.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}
