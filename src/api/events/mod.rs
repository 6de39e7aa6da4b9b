//! `GET /v1/events`: changes of locks and sessions as server-sent events.
//!
//! `schema.rs` has the events, `stream.rs` brings them to the reader or drops it.

mod schema;
mod stream;

use super::inspect::query;
use crate::access::{Identity, Role};
use crate::api::answer::{Answer, uncached};
use crate::engine::Consistency;
use crate::engine::events::{EventFilter, EventId, EventOptions, NameFilter, SubscriptionsFull};
use crate::http::auth::identify_and_touch;
use crate::http::endpoint::{CREDENTIAL, errors};
use crate::http::respond::{with_body, with_header};
use crate::http::{AppState, ClientInfo, Code, Failure, Problem, Query};
use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use utoipa::IntoParams;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// nginx hands a stream on as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The state of the stream, and of the routes beside it.
#[derive(Clone)]
pub struct Events {
    pub app: AppState,
    pub options: EventOptions,
}

impl FromRef<Events> for AppState {
    fn from_ref(events: &Events) -> AppState {
        AppState::clone(&events.app)
    }
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`read_events` reads the query itself")]
struct EventsParameters {
    /// Only this lock; not together with `prefix` or `election`.
    #[param(format = "lock-name", min_length = 1, example = "deploy/production")]
    name: Option<String>,
    /// Only the leaders of this election: `elected`, `value-changed`, and `resigned`, `expired` or `forced`. A `state` or
    /// `gap` event says who leads.
    #[param(format = "lock-name", min_length = 1, example = "database/primary")]
    election: Option<String>,
    /// Only locks whose name starts with this, and no sessions.
    prefix: Option<String>,
    /// Begins with a `state` event: the locks as they are.
    state: Option<bool>,
    /// A password or an API key, for browsers, whose `EventSource` cannot send headers.
    auth: Option<String>,
}

pub const PATH: &str = "/v1/events";

const REFUSED: [Code; 7] = [
    Code::InvalidField,
    Code::LimitExceeded,
    Code::Forbidden,
    Code::ShuttingDown,
    Code::NodeWiped,
    Code::NodeRemoved,
    Code::ReadersFull,
];
errors!(EventsErrors: Problem<'_>, REFUSED, CREDENTIAL);

/// Follow what happens
///
/// Server-sent events: `granted`, `released`, `expired`, `forced` of holds, each named by its fencing token,
/// `value-changed` of leaders, `frozen` and `thawed` of freezes that concern any of the locks, and `session-ended`. The first event (`started`) says after which id it goes on. Ids are the same on every node: a client
/// that sends the last one as `Last-Event-ID` to any node misses nothing. Where that cannot be, because the id is older than
/// what is kept or a node took over a snapshot, a `gap` event has the present state, and what follows its id is sent. A
/// comment every `events.heartbeat` shows that the stream lives. A reader that takes nothing for
/// `events.slow_reader_after`, a server that stops, or the end of the credential ends the stream with `dropped`. A credential that is limited to name
/// prefixes gets events of those names only, and of no session.
#[utoipa::path(
    get,
    path = PATH,
    params(EventsParameters, ("Last-Event-ID" = Option<String>, Header, description = "Goes on after this event.", nullable = false, example = "4711-1-5f0c")),
    responses(
        (status = 200, description = "What happens, as it happens. The data is JSON: `Event`, `StateEvent`, `Dropped`.", body = inline(schema::EventStream), content_type = "text/event-stream"),
        EventsErrors,
    ),
)]
pub async fn read_events(State(Events { app, options }): State<Events>, head: Parts) -> Answer {
    let asked = Query::of(&head.uri);
    // A browser's EventSource sends no headers of its own.
    let auth = asked.text("auth")?;
    let viewer = identify_and_touch(&app, &head, auth.as_deref()).await?;
    follow(&app, options, &viewer, &head).await
}

/// The stream that a request asks for, of what this viewer may see.
pub async fn follow(app: &AppState, options: EventOptions, viewer: &Identity, head: &Parts) -> Answer {
    let asked = Query::of(&head.uri);
    let prefix = query::prefix(asked, app.engine.limits().name_bytes_max)?;
    let wanted = wanted(app, asked, viewer, &prefix)?;
    let of_election = wanted.names.is_election();
    let (after, with_state) = (last_event_id(head)?, query::flag(asked, "state")?.unwrap_or_default());
    if app.engine.is_closing() {
        return Err(Failure::from(Code::ShuttingDown).into());
    }
    // A local check, which fails on a node that lost its disk.
    let here = app.engine.with_consistency(Consistency::Stale).read_barrier().await;
    here.map_err(|error| Failure::of(error.into()))?;
    let reader = app.engine.subscribe(wanted, after, with_state).map_err(|SubscriptionsFull { limit }| {
        let detail = format!("{}: at most {limit} are served", Code::ReadersFull.row().title);
        Failure::new(Code::ReadersFull, detail).with_limit(limit).set_by("events.readers_max")
    })?;
    // The URL of all locks, for a state that has no room for them.
    let full_listing = format!("/v1/locks?prefix={}", utf8_percent_encode(&prefix, NON_ALPHANUMERIC));
    let connection = head.extensions.get::<ClientInfo>().map(|info| info.connection.clone());
    let body = stream::body(reader, viewer.clone(), of_election, full_listing, options, connection);
    let response = with_body(StatusCode::OK, Some(EVENT_STREAM), body);
    Ok(uncached(with_header(response, X_ACCEL_BUFFERING, "no")))
}

fn wanted(app: &AppState, asked: Query<'_>, viewer: &Identity, prefix: &str) -> Result<EventFilter, Failure> {
    let (name, election) = (asked.text("name")?, asked.text("election")?);
    let given = [name.is_some(), election.is_some(), asked.text("prefix")?.is_some()];
    if given.into_iter().filter(|given| *given).count() > 1 {
        return Err(Failure::field("name", "name, election and prefix exclude each other: give one of them"));
    }
    let names = match (name, election) {
        (Some(name), _) => NameFilter::One(query::readable_name(app, viewer, "name", &name)?),
        (None, Some(name)) => NameFilter::Election(query::readable_name(app, viewer, "election", &name)?),
        (None, None) => NameFilter::Under(viewer.prefixes_under(prefix)),
    };
    if names == NameFilter::Under(Vec::new()) {
        let right = format!("see the locks whose names start with {prefix:?}");
        return Err(Failure::forbidden(&right, viewer.lack_for(Role::ReadOnly, prefix)));
    }
    // As in listings: the holds of a session may have any name.
    let sessions = matches!(names, NameFilter::Under(_)) && prefix.is_empty() && viewer.sees_every_name();
    Ok(EventFilter { names, sessions })
}

fn last_event_id(head: &Parts) -> Result<Option<EventId>, Failure> {
    let Some(value) = head.headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let read = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let refused = || Failure::field("Last-Event-ID", "Last-Event-ID must be the id of an event, such as 4711-1-5f0c");
    read.map(Some).ok_or_else(refused)
}
