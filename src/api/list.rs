//! The listings, and one lock in detail.

use super::name::{lock_name, lock_name_asked};
use super::{ask, cursor, from_fault, written};
use crate::access::Identity;
use crate::domain::Name;
use crate::domain::view::{LockFilter, LockView};
use crate::engine::listing::locks_under;
use crate::http::auth::{identify, may_read, touch_carried};
use crate::http::code::Code;
use crate::http::failure::Failure;
use crate::http::path::Captured;
use crate::http::pieces;
use crate::http::problem::problem;
use crate::http::query::Query;
use crate::http::respond::with_header;
use crate::http::service::{Attempt, Shared};
use axum::extract::State;
use axum::http::{header, request::Parts};
use axum::response::Response;

/// `GET /v1/locks`
pub async fn list_locks(State(service): State<Shared>, head: Parts) -> Response {
    answered(locks(&service, &head).await)
}

/// Either shows a moment, so nobody may keep it.
fn answered(attempt: Attempt<Response>) -> Response {
    let response = attempt.unwrap_or_else(|failure| problem(&failure));
    with_header(response, header::CACHE_CONTROL, "no-store")
}

async fn locks(service: &Shared, head: &Parts) -> Attempt<Response> {
    let viewer = identify(service, head).await?;
    touch_carried(service, &viewer, head).await;
    let query = Query::of(&head.uri);
    let prefix = ask::prefix(query, service.engine.limits().name_bytes_max)?;
    let filter = LockFilter {
        held: ask::flag(query, "held")?,
        contended: ask::flag(query, "contended")?,
        ..LockFilter::default()
    };
    if let Some(name) = lock_name_asked(service, query)? {
        return only(service, head, viewer, &name, &filter).await;
    }
    let after = ask::cursor(query, cursor::read_name)?.map(Name::from);
    let limit = ask::limit(query)?;
    let prefixes = viewer.prefixes_under(&prefix);
    let engine = service.engine.reading(ask::consistency(query)?);
    let page = locks_under(&engine, &prefixes, &filter, after, limit).await.map_err(from_fault)?;
    let next = page.next.as_deref().map(cursor::after_name);
    pieces::answer(service, head, written::locks(page.locks, next, page.now, viewer))
}

/// `GET /v1/locks?name=`: a page with this lock, or an empty one where it is free. Somebody who may not know is told so.
async fn only(service: &Shared, head: &Parts, viewer: Identity, name: &Name, filter: &LockFilter) -> Attempt<Response> {
    let query = Query::of(&head.uri);
    for field in ["prefix", "cursor"] {
        if query.text(field)?.is_some() {
            return Err(Failure::field("name", format!("name and {field} exclude each other: give one of them")));
        }
    }
    ask::limit(query)?;
    may_read(&viewer, name)?;
    let engine = service.engine.reading(ask::consistency(query)?);
    let (lock, now) = engine.lock(name).await.map_err(from_fault)?;
    let locks: Vec<LockView> = lock.into_iter().filter(|lock| filter.accepts(lock)).collect();
    pieces::answer(service, head, written::locks(locks, None, now, viewer))
}

/// `GET /v1/locks/{name}`
pub async fn show_lock(State(service): State<Shared>, captured: Captured, head: Parts) -> Response {
    answered(lock(&service, captured, &head).await)
}

async fn lock(service: &Shared, captured: Captured, head: &Parts) -> Attempt<Response> {
    let viewer = identify(service, head).await?;
    touch_carried(service, &viewer, head).await;
    let name = lock_name(service, &captured)?;
    may_read(&viewer, &name)?;
    let engine = service.engine.reading(ask::consistency(Query::of(&head.uri))?);
    let (lock, now) = engine.lock(&name).await.map_err(from_fault)?;
    let lock = lock.ok_or_else(|| Failure::new(Code::NoSuchLock, "nobody holds this lock or waits for it"))?;
    pieces::answer(service, head, written::lock(lock, now, &viewer))
}

/// `GET /v1/sessions`
pub async fn list_sessions(State(service): State<Shared>, head: Parts) -> Response {
    answered(sessions(&service, &head).await)
}

async fn sessions(service: &Shared, head: &Parts) -> Attempt<Response> {
    let viewer = identify(service, head).await?;
    touch_carried(service, &viewer, head).await;
    if !viewer.sees_every_name() {
        // A session's holds may lie under any prefix, so those of others would show through.
        return Err(Failure::forbidden("list sessions, because it is limited to some lock names", None));
    }
    let query = Query::of(&head.uri);
    let after = ask::cursor(query, cursor::read_session)?;
    let engine = service.engine.reading(ask::consistency(query)?);
    let page = engine.sessions(after, ask::limit(query)?).await.map_err(from_fault)?;
    let next = page.next.map(cursor::after_session);
    pieces::answer(service, head, written::sessions(page.sessions, next, page.now))
}
