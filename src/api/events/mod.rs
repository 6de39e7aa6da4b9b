//! `GET /v1/events`: what happens to locks and sessions, as server-sent events.
//!
//! `ask.rs` is the request, `shapes.rs` what is told, `stream.rs` how it reaches the reader or who is dropped.

mod ask;
mod shapes;
mod stream;

pub use shapes::{Dropped, Event, StateEvent};
pub use stream::EventSettings;

use super::from_fault;
use crate::engine::Consistency;
use crate::engine::events::{Reader, ReadersFull};
use crate::http::code::Code;
use crate::http::failure::Failure;
use crate::http::peer::Peer;
use crate::http::problem::problem;
use crate::http::respond::{with_body, with_header};
use crate::http::service::{Attempt, Shared};
use ask::Asked;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// nginx hands a stream on as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /v1/events`
pub async fn events(service: State<Shared>, head: Parts) -> Response {
    let (asked, reader) = match begin(&service, &head).await {
        Ok(begun) => begun,
        Err(failure) => return with_header(problem(&failure), header::CACHE_CONTROL, "no-store"),
    };
    let connection = head.extensions.get::<Peer>().map(|peer| peer.connection.clone());
    let body = stream::body(reader, asked.rest, service.settings.events, connection);
    let response = with_body(StatusCode::OK, Some(EVENT_STREAM), body);
    with_header(with_header(response, header::CACHE_CONTROL, "no-store"), X_ACCEL_BUFFERING, "no")
}

async fn begin(service: &Shared, head: &Parts) -> Attempt<(Asked, Reader)> {
    let asked = ask::asked(service, head).await?;
    if service.engine.is_draining() {
        return Err(Failure::new(Code::ShuttingDown, Code::ShuttingDown.row().title));
    }
    // Asks nobody, and is refused by a node that lost its disk.
    let here = service.engine.reading(Consistency::Stale).read_barrier().await;
    here.map_err(|error| from_fault(error.into()))?;
    let reader = service.engine.read_events(asked.wanted.clone(), asked.after, asked.with_state);
    let full = |ReadersFull { limit }| {
        Failure {
            limit: Some(limit),
            ..Failure::new(Code::ReadersFull, format!("{}: at most {limit} are served", Code::ReadersFull.row().title))
        }
        .set_by("events.readers_max")
    };
    Ok((asked, reader.map_err(full)?))
}
