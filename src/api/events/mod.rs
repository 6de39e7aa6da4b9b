//! `GET /v1/events`: changes of locks and sessions as server-sent events.
//!
//! `query.rs` reads the request, `schema.rs` has the events, `stream.rs` brings them to the reader or drops it.

mod query;
mod schema;
mod stream;

pub use schema::{Dropped, Event, StateEvent};

use super::failure::from_fault;
use crate::config::Config;
use crate::engine::Consistency;
use crate::engine::events::{Subscription, SubscriptionsFull};
use crate::http::app::AppState;
use crate::http::client_info::ClientInfo;
use crate::http::code::Code;
use crate::http::failure::Failure;
use crate::http::methods::get;
use crate::http::problem::problem;
use crate::http::respond::{with_body, with_header};
use crate::http::routes::Routes;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use query::EventsQuery;
use stream::StreamSettings;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// nginx hands a stream on as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

#[derive(Clone)]
struct Events {
    app: AppState,
    settings: StreamSettings,
}

pub fn routes(app: &AppState, config: &Config) -> Routes {
    let (heartbeat, slow_reader_after) = (config.events.heartbeat, config.events.slow_reader_after);
    let state = Events { app: AppState::clone(app), settings: StreamSettings { heartbeat, slow_reader_after } };
    Routes::new().uncounted("/v1/events", get(events)).with_state(state)
}

/// `GET /v1/events`
async fn events(State(Events { app, settings }): State<Events>, head: Parts) -> Response {
    let (asked, reader) = match begin(&app, &head).await {
        Ok(begun) => begun,
        Err(failure) => return with_header(problem(&failure), header::CACHE_CONTROL, "no-store"),
    };
    let connection = head.extensions.get::<ClientInfo>().map(|info| info.connection.clone());
    let body = stream::body(reader, asked.rest, settings, connection);
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
