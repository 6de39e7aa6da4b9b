//! The parameters of `GET /v1/events`, limited to the rights of the caller.

use crate::access::Identity;
use crate::api::failure::from_fault;
use crate::api::inspect::query;
use crate::engine::Fault;
use crate::engine::events::{EventFilter, EventId, NameFilter};
use crate::http::app::AppState;
use crate::http::auth::{identify_with, may_read, touch_cookie_session};
use crate::http::failure::Failure;
use crate::http::query::Query;
use axum::http::HeaderName;
use axum::http::request::Parts;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use utoipa::IntoParams;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`read` reads the query itself")]
pub struct EventsParameters {
    /// Only this lock; not together with `prefix`.
    #[param(format = "lock-name", min_length = 1, example = "deploy/production")]
    name: Option<String>,
    /// Only locks whose name starts with this, and no sessions.
    prefix: Option<String>,
    /// Begins with a `state` event: the locks as they are.
    state: Option<bool>,
    /// A password or an API key, for browsers, whose `EventSource` cannot send headers.
    auth: Option<String>,
}

pub struct EventsQuery {
    pub wanted: EventFilter,
    /// Where another stream ended.
    pub after: Option<EventId>,
    pub with_state: bool,
    /// The URL of all locks, for a state that has no room for them.
    pub full_listing: String,
}

pub async fn read(app: &AppState, head: &Parts) -> Result<EventsQuery, Failure> {
    let asked = Query::of(&head.uri);
    // A browser's EventSource sends no headers of its own.
    let auth = asked.text("auth")?;
    let viewer = identify_with(app, head, auth.as_deref()).await?;
    touch_cookie_session(app, &viewer, head).await;
    let prefix = query::prefix(asked, app.engine.limits().name_bytes_max)?;
    let full_listing = format!("/v1/locks?prefix={}", utf8_percent_encode(&prefix, NON_ALPHANUMERIC));
    Ok(EventsQuery {
        wanted: wanted(app, asked, &viewer, &prefix)?,
        after: last_event_id(head)?,
        with_state: query::flag(asked, "state")?.unwrap_or_default(),
        full_listing,
    })
}

fn wanted(app: &AppState, asked: Query<'_>, viewer: &Identity, prefix: &str) -> Result<EventFilter, Failure> {
    let Some(name) = asked.text("name")? else {
        let prefixes = viewer.prefixes_under(prefix);
        if prefixes.is_empty() {
            return Err(Failure::forbidden("see any lock whose name starts with this prefix", None));
        }
        // As in listings: the holds of a session may have any name.
        let sessions = prefix.is_empty() && viewer.sees_every_name();
        return Ok(EventFilter { names: NameFilter::Under(prefixes), sessions });
    };
    if asked.text("prefix")?.is_some() {
        return Err(Failure::field("name", "name and prefix exclude each other: give one of them"));
    }
    app.engine.limits().check_name(&name).map_err(|refusal| from_fault(Fault::Refused(refusal)))?;
    may_read(viewer, &name)?;
    Ok(EventFilter { names: NameFilter::One(name.into()), sessions: false })
}

fn last_event_id(head: &Parts) -> Result<Option<EventId>, Failure> {
    let Some(value) = head.headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let read = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let refused = || Failure::field("Last-Event-ID", "Last-Event-ID must be the id of an event, such as 4711-1-5f0c");
    read.map(Some).ok_or_else(refused)
}
