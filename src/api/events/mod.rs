//! `GET /v1/events`: changes of locks and sessions as server-sent events.
//!
//! `query.rs` reads the request, `schema.rs` has the events, `stream.rs` brings them to the reader or drops it.

mod query;
mod schema;
mod stream;

use super::failure::from_fault;
use crate::config::Config;
use crate::engine::Consistency;
use crate::engine::events::{Subscription, SubscriptionsFull};
use crate::http::app::AppState;
use crate::http::client_info::ClientInfo;
use crate::http::code::Code;
use crate::http::code_groups::CREDENTIAL;
use crate::http::endpoint::errors;
use crate::http::failure::Failure;
use crate::http::problem::{Problem, problem};
use crate::http::respond::{with_body, with_header};
use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use query::EventsQuery;
use stream::StreamSettings;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// nginx hands a stream on as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The state of the stream, and of the routes beside it.
#[derive(Clone)]
pub struct Events {
    app: AppState,
    settings: StreamSettings,
}

impl Events {
    pub fn new(app: &AppState, config: &Config) -> Events {
        let (heartbeat, slow_reader_after) = (config.events.heartbeat, config.events.slow_reader_after);
        Events { app: AppState::clone(app), settings: StreamSettings { heartbeat, slow_reader_after } }
    }
}

impl FromRef<Events> for AppState {
    fn from_ref(events: &Events) -> AppState {
        AppState::clone(&events.app)
    }
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
/// Server-sent events: `granted`, `released`, `expired`, `forced` of holds, each named by its fencing token, and
/// `session-ended`. The first event (`started`) says after which id it goes on. Ids are the same on every node: a client
/// that sends the last one as `Last-Event-ID` to any node misses nothing. Where that cannot be, because the id is older than
/// what is kept or a node took over a snapshot, a `gap` event has the present state, and what follows its id is sent. A
/// comment every `events.heartbeat` shows that the stream lives. A reader that takes nothing for
/// `events.slow_reader_after`, or a server that stops, ends the stream with `dropped`. A credential that is limited to name
/// prefixes gets events of those names only, and of no session.
#[utoipa::path(
    get,
    path = PATH,
    params(query::EventsParameters, ("Last-Event-ID" = Option<String>, Header, description = "Goes on after this event.", nullable = false, example = "4711-1-5f0c")),
    responses(
        (status = 200, description = "What happens, as it happens. The data is JSON: `Event`, `StateEvent`, `Dropped`.", body = inline(schema::EventStream), content_type = "text/event-stream"),
        EventsErrors,
    ),
)]
pub async fn read_events(State(Events { app, settings }): State<Events>, head: Parts) -> Response {
    let (asked, reader) = match begin(&app, &head).await {
        Ok(begun) => begun,
        Err(failure) => return with_header(problem(&failure), header::CACHE_CONTROL, "no-store"),
    };
    let connection = head.extensions.get::<ClientInfo>().map(|info| info.connection.clone());
    let body = stream::body(reader, asked.full_listing, settings, connection);
    let response = with_body(StatusCode::OK, Some(EVENT_STREAM), body);
    with_header(with_header(response, header::CACHE_CONTROL, "no-store"), X_ACCEL_BUFFERING, "no")
}

async fn begin(app: &AppState, head: &Parts) -> Result<(EventsQuery, Subscription), Failure> {
    let asked = query::read(app, head).await?;
    if app.engine.is_draining() {
        return Err(Failure::new(Code::ShuttingDown, Code::ShuttingDown.row().title));
    }
    // A local check, which fails on a node that lost its disk.
    let here = app.engine.with_consistency(Consistency::Stale).read_barrier().await;
    here.map_err(|error| from_fault(error.into()))?;
    let reader = app.engine.subscribe(asked.wanted.clone(), asked.after, asked.with_state);
    let full = |SubscriptionsFull { limit }| {
        Failure {
            limit: Some(limit),
            ..Failure::new(Code::ReadersFull, format!("{}: at most {limit} are served", Code::ReadersFull.row().title))
        }
        .set_by("events.readers_max")
    };
    Ok((asked, reader.map_err(full)?))
}
