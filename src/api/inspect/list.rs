//! The listings, and one lock in detail.

use super::query::{ConsistencyQuery, NameInPath, PageQuery, lock_name, lock_name_in_query};
use super::schema::{Lock, LockList, SessionList};
use super::{listing_json, query};
use crate::access::{Identity, Role};
use crate::api::answer::{Answer, uncached};
use crate::domain::Name;
use crate::domain::view::LockFilter;
use crate::engine::LockPage;
use crate::http::auth::{identify_and_touch, may_read};
use crate::http::endpoint::{CREDENTIAL, READ, errors};
use crate::http::frozen::text_of;
use crate::http::query::Captured;
use crate::http::respond::HoldsSecrets;
use crate::http::{App, AppState, Code, Failure, Problem, Query, json_stream};
use axum::extract::State;
use axum::http::request::Parts;
use std::sync::Arc;
use utoipa::IntoParams;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`list_locks` reads the query itself")]
struct LocksQuery {
    /// Only this lock; not together with `prefix` or `cursor`.
    #[param(format = "lock-name", min_length = 1, example = "deploy/production")]
    name: Option<String>,
    /// Only names that start with this.
    prefix: Option<String>,
    /// Only locks with (`true`) or without (`false`) a hold.
    held: Option<bool>,
    /// Only locks with (`true`) or without (`false`) waiters.
    contended: Option<bool>,
}

errors!(ListErrors: Problem<'_>, [Code::InvalidField, Code::LimitExceeded, Code::Forbidden, Code::AddressFull], CREDENTIAL, READ);
errors!(ShowErrors: Problem<'_>, [Code::InvalidField, Code::LimitExceeded, Code::Forbidden, Code::NoSuchLock], CREDENTIAL, READ);
errors!(SessionsErrors: Problem<'_>, [Code::InvalidField, Code::Forbidden], CREDENTIAL, READ);

/// List locks
///
/// Locks that are held or waited for, in the order of their names, page by page. With `name`, which no client or proxy on
/// the way changes: a page with that lock, or without any where no client holds it or waits for it.
#[utoipa::path(
    get,
    path = "/v1/locks",
    params(LocksQuery, PageQuery, ConsistencyQuery),
    responses((status = 200, description = "One page of locks.", body = LockList), ListErrors),
)]
pub async fn list_locks(State(app): State<AppState>, head: Parts) -> Answer {
    let viewer = identify_and_touch(&app, &head, None).await?;
    let asked = Query::of(&head.uri);
    let prefix = query::prefix(asked, app.engine.limits().name_bytes_max)?;
    let filter = LockFilter {
        prefixes: viewer.prefixes_under(&prefix),
        held: query::flag(asked, "held")?,
        contended: query::flag(asked, "contended")?,
        ..LockFilter::default()
    };
    let page = match lock_name_in_query(&app, asked)? {
        Some(name) => only(&app, asked, &viewer, &name, &filter).await?,
        None => {
            let after = query::cursor(asked, query::read_name)?.map(Name::from);
            let limit = query::limit(asked)?;
            let engine = app.engine.with_consistency(query::consistency(asked)?);
            engine.locks(filter, after, limit).await.map_err(Failure::of)?
        }
    };
    let next = page.next.as_deref().map(query::after_name);
    let shows_keys = viewer.is_admin();
    let json = listing_json::locks(page.locks, next, page.now, viewer, Arc::clone(&app.catalog));
    listing(&head, json, shows_keys)
}

/// `GET /v1/locks?name=`: a page with this lock, or an empty one if it is free.
async fn only(
    app: &AppState,
    asked: Query<'_>,
    viewer: &Identity,
    name: &Name,
    filter: &LockFilter,
) -> Result<LockPage, Failure> {
    for field in ["prefix", "cursor"] {
        if asked.text(field)?.is_some() {
            return Err(Failure::field("name", format!("name and {field} exclude each other: give one of them")));
        }
    }
    query::limit(asked)?;
    may_read(viewer, name)?;
    let engine = app.engine.with_consistency(query::consistency(asked)?);
    let (lock, now) = engine.lock_with_queue(name).await.map_err(Failure::of)?;
    let locks = lock.into_iter().filter(|lock| filter.accepts(lock)).collect();
    Ok(LockPage { locks, next: None, now })
}

/// The keys of holds are secrets.
fn listing(head: &Parts, json: impl Iterator<Item = Vec<u8>> + Send + 'static, shows_keys: bool) -> Answer {
    let mut response = json_stream::answer(head, json)?;
    if shows_keys {
        response.extensions_mut().insert(HoldsSecrets);
    }
    Ok(uncached(response))
}

/// Show one lock
///
/// Clients and proxies change some names on the way: they take `.` and `..` for steps in a path, and may decode `%2F`.
/// `GET /v1/locks?name=` shows any lock.
#[utoipa::path(
    get,
    path = "/v1/locks/{name}",
    params(NameInPath, ConsistencyQuery),
    responses(
        (status = 200, description = "The lock, its holders and who waits for it.", body = Lock),
        ShowErrors,
    ),
)]
pub async fn show_lock(State(app): State<AppState>, captured: Captured, head: Parts) -> Answer {
    let viewer = identify_and_touch(&app, &head, None).await?;
    let name = lock_name(&app, &captured)?;
    may_read(&viewer, &name)?;
    let engine = app.engine.with_consistency(query::consistency(Query::of(&head.uri))?);
    let (lock, now) = engine.lock_with_queue(&name).await.map_err(Failure::of)?;
    let lock = lock.ok_or_else(|| nobody(&app, &name))?;
    let json = listing_json::lock(lock, now, &viewer, Arc::clone(&app.catalog));
    listing(&head, json, viewer.is_admin())
}

fn nobody(app: &App, name: &Name) -> Failure {
    let nobody = "nobody holds this lock or waits for it";
    match app.engine.local_freeze_of(name) {
        Some(by) => Failure::new(Code::NoSuchLock, format!("{nobody}; {}", text_of(&by))),
        None => Failure::new(Code::NoSuchLock, nobody),
    }
}

/// List sessions
///
/// Refused to a credential that is limited to name prefixes.
#[utoipa::path(
    get,
    path = "/v1/sessions",
    params(PageQuery, ConsistencyQuery),
    responses((status = 200, description = "One page of sessions.", body = SessionList), SessionsErrors),
)]
pub async fn list_sessions(State(app): State<AppState>, head: Parts) -> Answer {
    let viewer = identify_and_touch(&app, &head, None).await?;
    if !viewer.sees_every_name() {
        // The holds of a session may have any name, so its counts would reveal others.
        return Err(Failure::forbidden("list sessions", viewer.lack_for_all(Role::ReadOnly)).into());
    }
    let asked = Query::of(&head.uri);
    let after = query::cursor(asked, query::read_session)?;
    let engine = app.engine.with_consistency(query::consistency(asked)?);
    let page = engine.sessions(after, query::limit(asked)?).await.map_err(Failure::of)?;
    let next = page.next.map(query::after_session);
    listing(&head, listing_json::sessions(page.sessions, next, page.now), false)
}
