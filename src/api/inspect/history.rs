//! The history of a lock: its last holds that have ended.

use super::query::{self, ConsistencyQuery, NameInPath, lock_name, lock_name_in_query};
use super::schema::{EndedHold, LockHistory};
use crate::api::answer::{Answer, answer};
use crate::base::clock;
use crate::domain::Name;
use crate::http::auth::{identify_and_touch, may_read};
use crate::http::endpoint::{CREDENTIAL, READ, errors};
use crate::http::query::Captured;
use crate::http::{AppState, Code, Failure, Problem, Query};
use axum::extract::State;
use axum::http::request::Parts;
use utoipa::IntoParams;

const REFUSED: [Code; 4] = [Code::InvalidField, Code::LimitExceeded, Code::Forbidden, Code::NotYet];
errors!(HistoryErrors: Problem<'_>, REFUSED, CREDENTIAL, READ);

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`query::limit` reads it")]
struct LimitQuery {
    /// Holds that are shown at most: the newest.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Show the history of a lock
///
/// The last holds that have ended, newest first: who had the lock, from when to when, and how each ended; for a forced end
/// also why, and for admins of the name by whom. A hold that nobody heard of, because its request was gone, is not among them. Of each name the last
/// `locks.history_per_lock` are kept, also while nobody uses the lock; where the memory for all names is full
/// (`locks.history_bytes_max`), fewer. A name without a history has an empty list. Clients and proxies change some names on the
/// way: they take `.` and `..` for steps in a path, and may decode `%2F`. `GET /v1/history?name=` shows the history of any name.
#[utoipa::path(
    get,
    path = "/v1/locks/{name}/history",
    params(NameInPath, LimitQuery, ConsistencyQuery),
    responses((status = 200, description = "The last holds that have ended.", body = LockHistory), HistoryErrors),
)]
pub async fn show_history(State(app): State<AppState>, captured: Captured, head: Parts) -> Answer {
    let name = lock_name(&app, &captured);
    show(&app, name, &head).await
}

/// Show the history of a lock with any name
///
/// The last holds that have ended, newest first: who had the lock, from when to when, and how each ended; for a forced end
/// also why, and for admins of the name by whom. A hold that nobody heard of, because its request was gone, is not among them. A name without a
/// history has an empty list.
#[utoipa::path(
    get,
    path = "/v1/history",
    params(
        ("name" = String, Query, description = "The lock's name.", format = "lock-name", min_length = 1, example = "deploy/production"),
        LimitQuery,
        ConsistencyQuery,
    ),
    responses((status = 200, description = "The last holds that have ended.", body = LockHistory), HistoryErrors),
)]
pub async fn show_history_by_name(State(app): State<AppState>, head: Parts) -> Answer {
    let missing = || Failure::field("name", "name must be given in the query");
    let name = lock_name_in_query(&app, Query::of(&head.uri)).and_then(|name| name.ok_or_else(missing));
    show(&app, name, &head).await
}

async fn show(app: &AppState, name: Result<Name, Failure>, head: &Parts) -> Answer {
    let viewer = identify_and_touch(app, head, None).await?;
    let name = name?;
    may_read(&viewer, &name)?;
    let asked = Query::of(&head.uri);
    let (limit, engine) = (query::limit(asked)?, app.engine.with_consistency(query::consistency(asked)?));
    let history = engine.history(&name, limit).await.map_err(Failure::of)?;
    let now = clock::unix_time();
    let shows_actor = viewer.may_administer(&name);
    let ended_holds = history.iter().map(|past| EndedHold::new(past, now, shows_actor)).collect();
    answer(&LockHistory { name: name.to_string(), ended_holds })
}
