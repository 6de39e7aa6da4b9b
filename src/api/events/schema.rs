//! The events as readers get them: server-sent events with JSON in them, without keys and session ids.

use crate::api::inspect::schema::Lock;
use crate::domain::{EndReason, Freeze, Name, SessionId, ThawReason};
use crate::engine::events::{CurrentState, EventId, GapReason, LockEvent, PublishedEvent};
use crate::http::endpoint::{Schemas, add_schema};
use crate::http::respond::seconds;
use serde::Serialize;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A client that lost its stream waits this long before it asks again.
const RETRY: &str = "retry: 1000\n";

/// Bytes of locks that one state shows.
const STATE_BYTES_MAX: usize = 256 << 10;

/// A change of a lock or a session. Fields that do not belong to its kind are absent.
#[derive(Serialize, ToSchema, Default)]
#[schema(as = Event)]
pub struct Event<'a> {
    /// `started`, `granted`, `released`, `expired`, `forced`, `value-changed`, `frozen`, `thawed` or `session-ended`; with `election`, `elected`
    /// instead of `granted` and `resigned` instead of `released`. The same as the event's type.
    #[schema(example = "expired")]
    event: &'static str,
    /// The same on every node; pass the last one as `Last-Event-ID`.
    #[schema(example = "4711-1-5f0c")]
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "deploy/production")]
    name: Option<&'a str>,
    /// Names the hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    fencing_token: Option<u64>,
    /// The token that this hold had before: its owner asked again, or it was upgraded or downgraded.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<u64>,
    /// How the lock is held from now on: `exclusive`, `shared` or `counted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "exclusive")]
    mode: Option<&'static str>,
    /// How many places of a counted lock the hold takes. There if not 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    /// What the leader of an election says about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "10.0.0.7:5432")]
    value: Option<&'a str>,
    /// Of `released` and `resigned`: `released` by its owner, `session-ended`, `transferred` to another session, or `undelivered`: its client never got the answer. Of
    /// `session-ended`: `closed` or `idle`. Of `thawed`: `ended` by itself, or `thawed` by an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "idle")]
    why: Option<&'static str>,
    /// The dialect through which the hold was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "sessions-v1")]
    dialect: Option<&'static str>,
    /// The handle of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "a1b2c3d4e5f6")]
    session: Option<String>,
    /// Of `frozen` and `thawed`: the name that is frozen, or what all frozen names start with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "deploy/")]
    target: Option<&'a str>,
    /// Of `frozen` and `thawed`: `name`, `prefix` or `everything`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "prefix")]
    r#match: Option<&'static str>,
    /// Of `frozen` and `thawed`: `drain` or `break`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "drain")]
    holds: Option<&'static str>,
    /// Of `frozen` and `thawed`: why it was frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "release 7 goes out, ticket 4411")]
    reason: Option<&'a str>,
    /// Of `frozen` and `thawed`: how long the freeze was to last when it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 3600.0)]
    for_seconds: Option<f64>,
}

/// The locks as they are now: asked for, or because events are missing.
#[derive(Serialize, ToSchema)]
#[schema(as = StateEvent)]
pub struct StateEvent {
    /// `state` or `gap`.
    #[schema(example = "gap")]
    event: &'static str,
    #[schema(example = "4712-0")]
    id: String,
    /// Of `gap`: the id was `too-old` for what is kept, the node took over a `snapshot`, or it is an `unknown-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    /// In the order of their names, without keys.
    locks: Vec<Lock>,
    /// With `election`: who leads; absent where nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<EventLeader>,
    /// Where all locks are, if there are more than these.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/v1/locks?prefix=")]
    rest: Option<String>,
}

/// The leader in a state.
#[derive(Serialize, ToSchema)]
#[schema(as = EventLeader)]
pub struct EventLeader {
    #[schema(example = "10.0.0.7:5432")]
    value: String,
    fencing_token: u64,
}

/// The last event of a stream that the server ends.
#[derive(Serialize, ToSchema)]
#[schema(as = Dropped)]
pub struct Dropped {
    /// `dropped`
    event: &'static str,
    /// `slow-reader` or `shutting-down`: ask again, with the last id. `credential-ended`: the key was taken away or has
    /// expired, so ask with another one.
    #[schema(example = "shutting-down")]
    why: &'static str,
}

/// The text of the stream, whose data is JSON; utoipa derives no `contentSchema`.
pub struct EventStream;

impl ToSchema for EventStream {
    fn schemas(schemas: &mut Schemas) {
        add_schema::<Event<'_>>(schemas);
        add_schema::<StateEvent>(schemas);
        add_schema::<EventLeader>(schemas);
        add_schema::<Dropped>(schemas);
    }
}

impl PartialSchema for EventStream {
    fn schema() -> RefOr<Schema> {
        let names = [Event::name(), StateEvent::name(), Dropped::name()];
        let data = names.into_iter().map(Ref::from_schema_name).fold(AnyOfBuilder::new(), AnyOfBuilder::item);
        let text = ObjectBuilder::new().schema_type(Type::String).content_media_type("application/json");
        text.content_schema(Some(Schema::from(data.build()))).build().into()
    }
}

/// Why the server ends a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DropReason {
    SlowReader,
    ShuttingDown,
    CredentialEnded,
}

impl DropReason {
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::SlowReader => "slow-reader",
            DropReason::ShuttingDown => "shutting-down",
            DropReason::CredentialEnded => "credential-ended",
        }
    }
}

/// Everything after this id follows.
pub fn started(out: &mut Vec<u8>, id: EventId) {
    out.extend_from_slice(RETRY.as_bytes());
    write(out, Some(id), "started", &Event { event: "started", id: id.to_string(), ..Event::default() });
}

/// A stream of an election has words of its own.
pub fn happened(out: &mut Vec<u8>, published: &PublishedEvent, of_election: bool) {
    let mut event = event(published);
    event.event = match event.event {
        "granted" if of_election => "elected",
        "released" if of_election => "resigned",
        other => other,
    };
    write(out, Some(published.id), event.event, &event);
}

/// The present state; `why` where events are missing. `full_listing` is the URL of all locks.
pub fn state(out: &mut Vec<u8>, state: &CurrentState, why: Option<GapReason>, full_listing: &str) {
    let (locks, all) = fitting(state);
    let event = if why.is_some() { "gap" } else { "state" };
    let why = why.map(|why| match why {
        GapReason::TooOld => "too-old",
        GapReason::Snapshot => "snapshot",
        GapReason::UnknownId => "unknown-id",
    });
    let rest = (!all).then(|| full_listing.to_owned());
    out.extend_from_slice(RETRY.as_bytes());
    let leader = state.leader.as_ref();
    let leader = leader.map(|leader| EventLeader { value: leader.value.to_string(), fencing_token: leader.token.0 });
    write(out, Some(state.id), event, &StateEvent { event, id: state.id.to_string(), why, locks, leader, rest });
}

/// The end of a stream.
pub fn dropped(why: DropReason) -> Vec<u8> {
    let mut out = RETRY.as_bytes().to_vec();
    write(&mut out, None, "dropped", &Dropped { event: "dropped", why: why.as_str() });
    out
}

/// Shows that the stream lives, and moves the client's last id along with what was not for it.
pub fn heartbeat(place: Option<EventId>) -> String {
    let id = place.map_or(String::new(), |place| format!("id: {place}\n"));
    format!(": heartbeat\n{id}\n")
}

fn write(out: &mut Vec<u8>, id: Option<EventId>, event: &str, data: &impl Serialize) {
    if let Some(id) = id {
        out.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    out.extend_from_slice(format!("event: {event}\ndata: ").as_bytes());
    // JSON has no line breaks outside its strings, and escapes those inside.
    serde_json::to_writer(&mut *out, data).expect("a vector takes every byte");
    out.extend_from_slice(b"\n\n");
}

fn event(published: &PublishedEvent) -> Event<'_> {
    let id = published.id.to_string();
    let handle = |session: &SessionId| session.handle();
    match &published.event {
        LockEvent::Granted { name, token, replaces, session, dialect, mode, weight, value } => Event {
            event: "granted",
            id,
            name: Some(name),
            fencing_token: Some(token.0),
            replaces: replaces.map(|token| token.0),
            mode: Some(mode.as_str()),
            weight: Some(*weight).filter(|weight| *weight != 1),
            value: value.as_deref(),
            dialect: Some(dialect.as_str()),
            session: session.as_ref().map(handle),
            ..Event::default()
        },
        LockEvent::ValueChanged { name, token, value, session, dialect } => Event {
            event: "value-changed",
            id,
            name: Some(name),
            fencing_token: Some(token.0),
            value: Some(value),
            dialect: Some(dialect.as_str()),
            session: session.as_ref().map(handle),
            ..Event::default()
        },
        LockEvent::HoldEnded { name, token, why, session, dialect, .. } => {
            let (event, why) = ended(*why);
            Event {
                event,
                id,
                name: Some(name),
                fencing_token: Some(token.0),
                why,
                dialect: Some(dialect.as_str()),
                session: session.as_ref().map(handle),
                ..Event::default()
            }
        }
        LockEvent::Frozen { target, freeze } => of_freeze("frozen", id, target, freeze),
        LockEvent::Thawed { target, freeze, why } => {
            let why = match why {
                ThawReason::Ended => "ended",
                ThawReason::Thawed => "thawed",
            };
            Event { why: Some(why), ..of_freeze("thawed", id, target, freeze) }
        }
        LockEvent::SessionEnded { session, idle } => Event {
            event: "session-ended",
            id,
            why: Some(if *idle { "idle" } else { "closed" }),
            session: Some(handle(session)),
            ..Event::default()
        },
    }
}

/// A freeze that begins or has ended.
fn of_freeze<'a>(event: &'static str, id: String, target: &'a Name, freeze: &'a Freeze) -> Event<'a> {
    Event {
        event,
        id,
        target: Some(target),
        r#match: Some(freeze.covers.shown(target)),
        holds: Some(freeze.holds.as_str()),
        reason: Some(&freeze.reason),
        for_seconds: Some(seconds(freeze.until.since(freeze.since))),
        ..Event::default()
    }
}

fn ended(why: EndReason) -> (&'static str, Option<&'static str>) {
    match why {
        EndReason::Expired => ("expired", None),
        EndReason::Forced => ("forced", None),
        EndReason::Released => ("released", Some("released")),
        EndReason::SessionEnded => ("released", Some("session-ended")),
        EndReason::Cancelled => ("released", Some("undelivered")),
        EndReason::Transferred => ("released", Some("transferred")),
    }
}

/// The locks that one event has room for, and whether those are all.
fn fitting(state: &CurrentState) -> (Vec<Lock>, bool) {
    let mut bytes = 0;
    let mut locks = Vec::new();
    for lock in &state.locks {
        let lock = Lock::new(lock, state.now, None);
        bytes += serde_json::to_vec(&lock).map_or(0, |json| json.len());
        if bytes > STATE_BYTES_MAX {
            return (locks, false);
        }
        locks.push(lock);
    }
    (locks, !state.more)
}
