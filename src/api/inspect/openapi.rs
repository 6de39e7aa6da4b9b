//! Reading and repairing, and the events, as the OpenAPI document describes them.

use super::force::{ForceReleaseRequest, REASON_BYTES_MAX};
use super::query::{LIMIT_DEFAULT, LIMIT_MAX};
use super::schema::{ForcedRelease, Hold, Lock, LockList, Session, SessionList};
use crate::api::events::{Dropped, Event, StateEvent};
use crate::http::code::Code;
use crate::http::code_groups::{BODY, CREDENTIAL, READ, WRITE};
use crate::http::endpoint::{
    Bounds, Chapter, Documentation, Endpoint, PROBLEM, boolean, delete, event_stream, get, integer, json, path, query,
    request_header, string,
};
use serde_json::json as value;
use utoipa::openapi::{ComponentsBuilder, Required};

pub const DOCUMENTATION: Documentation =
    Documentation { chapter: Chapter::Own, tag: TAG, about: ABOUT, endpoints, schemas };

const TAG: &str = "Reading and repairing";
const ABOUT: &str = "Who holds what, which sessions there are, and the forced release of a hold. A credential \
    that is limited to name prefixes sees only those names. Keys are shown to admins only, session ids to nobody: \
    a session is named by a handle that is made from its id.";

const NAME_IN_PATH: &str = "Clients and proxies change some names on the way: they take `.` and `..` for steps in a \
    path, and may decode `%2F`.";

const FORCED: &str = "Needs the admin role. The reason is required, in the query or in the body, and is written to the \
    log with the caller's name, the lock and the fencing token. The next waiter gets the lock at once, with a higher \
    token; the old holder is not told before it asks.";

const KEY: &str = "The hold's key, as `GET /v1/locks?name=` shows it to admins.";

fn endpoints(bounds: Bounds) -> Vec<Endpoint> {
    vec![
        list_locks(bounds),
        show_lock(bounds),
        force_release(bounds),
        force_release_by_name(bounds),
        list_sessions(),
        events(bounds),
    ]
}

fn schemas(components: ComponentsBuilder, _: Bounds) -> ComponentsBuilder {
    components
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
}

fn list_locks(bounds: Bounds) -> Endpoint {
    get("/v1/locks", "list_locks", TAG, "List locks")
        .about(
            "Locks that are held or waited for, in the order of their names, page by page. With `name`, which no \
             client or proxy on the way changes: a page with that lock, or without any where nobody holds it or waits \
             for it.",
        )
        .parameter(query("name", "Only this lock; not together with `prefix` or `cursor`.", false, name(bounds)))
        .parameter(query("prefix", "Only names that start with this.", false, string("")))
        .parameter(query("held", "Only locks with (`true`) or without (`false`) a hold.", false, boolean("")))
        .parameter(query("contended", "Only locks with (`true`) or without (`false`) waiters.", false, boolean("")))
        .parameter(limit())
        .parameter(cursor())
        .parameter(consistency())
        .answer(200, json("One page of locks.", "LockList"))
        .errors(
            PROBLEM,
            &[&[Code::InvalidField, Code::LimitExceeded, Code::Forbidden, Code::AddressFull], &CREDENTIAL, &READ],
        )
}

fn show_lock(bounds: Bounds) -> Endpoint {
    get("/v1/locks/{name}", "show_lock", TAG, "Show one lock")
        .about(format!("{NAME_IN_PATH} `GET /v1/locks?name=` tells the same of any name.").as_str())
        .parameter(path("name", "The lock's name, percent-encoded: a slash is `%2F`.", name(bounds)))
        .parameter(consistency())
        .answer(200, json("The lock, its holders and the length of its queue.", "Lock"))
        .errors(
            PROBLEM,
            &[&[Code::InvalidField, Code::LimitExceeded, Code::Forbidden, Code::NoSuchLock], &CREDENTIAL, &READ],
        )
}

fn force_release(bounds: Bounds) -> Endpoint {
    let endpoint = delete("/v1/locks/{name}/holds/{key}", "force_release", TAG, "End somebody else's hold")
        .about(format!("{FORCED} {NAME_IN_PATH} `DELETE /v1/holds?name=&key=` does the same for any name.").as_str())
        .parameter(path("name", "The lock's name, percent-encoded: a slash is `%2F`.", name(bounds)))
        .parameter(path("key", KEY, string("").min_length(Some(1))));
    with_reason(endpoint)
}

fn force_release_by_name(bounds: Bounds) -> Endpoint {
    let endpoint =
        delete("/v1/holds", "force_release_by_name", TAG, "End somebody else's hold, of a lock with any name")
            .about(FORCED)
            .parameter(query("name", "The lock's name.", true, name(bounds)))
            .parameter(query("key", KEY, true, string("")));
    with_reason(endpoint)
}

/// What both forms of the forced release have in common.
fn with_reason(endpoint: Endpoint) -> Endpoint {
    let own = [Code::InvalidField, Code::LimitExceeded, Code::Forbidden, Code::NoSuchLock, Code::WrongKey];
    let reason = format!("Why, in at most {REASON_BYTES_MAX} bytes; may stand in the body instead.");
    endpoint
        .parameter(query("reason", &reason, false, string("")))
        .body("ForceReleaseRequest", Required::False, value!({"reason": "the worker hangs, ticket 4411"}))
        .answer(200, json("The hold was ended.", "ForcedRelease"))
        .errors(PROBLEM, &[&BODY, &own, &CREDENTIAL, &WRITE])
}

fn list_sessions() -> Endpoint {
    get("/v1/sessions", "list_sessions", TAG, "List sessions")
        .about("Refused to a credential that is limited to name prefixes.")
        .parameter(limit())
        .parameter(cursor())
        .parameter(consistency())
        .answer(200, json("One page of sessions.", "SessionList"))
        .errors(PROBLEM, &[&[Code::InvalidField, Code::Forbidden], &CREDENTIAL, &READ])
}

fn events(bounds: Bounds) -> Endpoint {
    let own = [
        Code::InvalidField,
        Code::LimitExceeded,
        Code::Forbidden,
        Code::ShuttingDown,
        Code::NodeWiped,
        Code::NodeRemoved,
        Code::ReadersFull,
    ];
    get("/v1/events", "read_events", TAG, "Follow what happens")
        .about(
            "Server-sent events: `granted`, `released`, `expired`, `forced` of holds, each named by its fencing token, \
             and `session-ended`. The first event (`started`) says after which id it goes on. Ids are the same on \
             every node: a client that sends the last one as `Last-Event-ID` to any node misses nothing. Where that \
             cannot be, because the id is older than what is kept or a node took over a snapshot, a `gap` event has \
             the present state, and what follows its id is told. A comment every `events.heartbeat` shows that the \
             stream lives. A reader that takes nothing for `events.slow_reader_after`, or a server that stops, ends \
             the stream with `dropped`. A credential that is limited to name prefixes is told of those names only, \
             and of no session.",
        )
        .parameter(query("name", "Only this lock; not together with `prefix`.", false, name(bounds)))
        .parameter(query("prefix", "Only locks whose name starts with this, and no sessions.", false, string("")))
        .parameter(query("state", "Begins with a `state` event: the locks as they are.", false, boolean("")))
        .parameter(query(
            "auth",
            "A password or an API key, for browsers, whose `EventSource` cannot send headers.",
            false,
            string(""),
        ))
        .parameter(request_header(
            "Last-Event-ID",
            "Goes on after this event.",
            string("").examples([value!("4711-1-5f0c")]),
        ))
        .answer(200, event_stream("What happens, as it happens.", &["Event", "StateEvent", "Dropped"]))
        .errors(PROBLEM, &[&own, &CREDENTIAL])
}

fn name(bounds: Bounds) -> utoipa::openapi::schema::ObjectBuilder {
    string("").min_length(Some(1)).max_length(Some(bounds.name_bytes_max)).examples([value!("deploy/production")])
}

fn limit() -> utoipa::openapi::path::Parameter {
    let schema = integer("").minimum(Some(1)).maximum(Some(LIMIT_MAX)).default(Some(value!(LIMIT_DEFAULT)));
    query(
        "limit",
        "Entries of a page at most. It ends sooner where it has about a megabyte: `next_cursor` tells whether there are more.",
        false,
        schema,
    )
}

fn consistency() -> utoipa::openapi::path::Parameter {
    let about = "`linearizable` (the default) sees everything that was answered before, on any node, and needs a \
        quorum; `stale` is what this node knows.";
    let schema = string("").enum_values(Some(["linearizable", "stale"])).default(Some(value!("linearizable")));
    query("consistency", about, false, schema)
}

fn cursor() -> utoipa::openapi::path::Parameter {
    query("cursor", "The `next_cursor` of the page before.", false, string(""))
}
