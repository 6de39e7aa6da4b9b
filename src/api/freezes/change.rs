//! An admin freezes a target, or thaws it.

use super::request::{self, target_in_path, target_in_query};
use super::schema::{FreezeRequest, ShownFreeze, ThawRequest};
use crate::api::answer::{Answer, answer};
use crate::domain::{FreezeHolds, Name};
use crate::http::auth::{identify_and_touch, may_break, may_freeze};
use crate::http::endpoint::{ACT, BODY, CREDENTIAL, WRITE, errors};
use crate::http::query::Captured;
use crate::http::{AppState, Code, Failure, Problem, Query, administration};
use axum::extract::{Request, State};
use utoipa::IntoParams;

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "`target_in_path` reads the path itself")]
pub struct TargetInPath {
    /// The name, or what the names start with, percent-encoded: a slash is `%2F`.
    #[param(format = "lock-name", min_length = 1, example = "deploy/")]
    target: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`target_in_query` reads the query itself")]
struct TargetInQuery {
    /// The name, or what the names start with. Left out, or empty, for everything.
    #[param(example = "deploy/")]
    target: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`request::thaw` reads the query itself")]
struct ThawReason {
    /// Why, in at most 256 bytes; may stand in the body instead.
    reason: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`request::thaw` reads the query itself")]
struct ThawMatch {
    /// `everything`: the freeze of all locks is meant, and there is no target. May stand in the body instead.
    #[param(example = "everything")]
    r#match: Option<String>,
}

const REFUSED: [Code; 6] =
    [Code::InvalidField, Code::LimitExceeded, Code::FrozenOtherwise, Code::FreezesFull, Code::ShareFull, Code::NotYet];
errors!(FreezeErrors: Problem<'_>, BODY, REFUSED, ACT, [Code::UnsupportedMediaType], CREDENTIAL, WRITE);
errors!(ThawErrors: Problem<'_>, BODY, [Code::InvalidField, Code::LimitExceeded, Code::NoSuchFreeze, Code::NotYet], ACT, CREDENTIAL, WRITE);

/// Freeze a name, or all names with a prefix
///
/// Needs the admin role, and the right to every name that is frozen. The reason and an end are required; the reason is told to
/// everybody who is refused, and written to the log with the caller's name. A freeze of the same target is replaced; a text
/// that is frozen as a name is not frozen as a prefix, and the reverse (`frozen-otherwise`). Nothing new is granted under it: an
/// acquire, a campaign or an upgrade that would not wait is refused with 409 (`frozen`), one that waits stands in the queue, and
/// gets the lock in its turn after the freeze. Holds go on (`drain`), or are ended (`break`), a thousand at a time: until
/// `GET /v1/freezes` shows `sweeping` as false, some may be left. To end them needs the right to every name, because a hold may
/// have others, too. Clients and proxies change some names on the way: `PUT /v1/freezes?target=` takes any.
#[utoipa::path(
    put,
    path = "/v1/freezes/{target}",
    params(TargetInPath),
    request_body(content = FreezeRequest, example = json!({"reason": "release 7 goes out, ticket 4411", "for_seconds": 3600, "match": "prefix"})),
    responses((status = 200, description = "It is frozen.", body = ShownFreeze), FreezeErrors),
)]
pub async fn freeze(State(app): State<AppState>, captured: Captured, request: Request) -> Answer {
    let target = target_in_path(&app, &captured).map(Some);
    begin(&app, target, request).await
}

/// Freeze any name, any prefix, or everything
///
/// As `PUT /v1/freezes/{target}`. Everything is frozen by `{"match": "everything"}` alone: an empty target with any other
/// `match` is refused.
#[utoipa::path(
    put,
    path = "/v1/freezes",
    params(TargetInQuery),
    request_body(content = FreezeRequest, example = json!({"reason": "the storage moves", "for_seconds": 600, "match": "everything", "holds": "break"})),
    responses((status = 200, description = "It is frozen.", body = ShownFreeze), FreezeErrors),
)]
pub async fn freeze_by_target(State(app): State<AppState>, request: Request) -> Answer {
    let target = target_in_query(&app, Query::of(request.uri()));
    begin(&app, target, request).await
}

async fn begin(app: &AppState, target: Result<Option<Name>, Failure>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let actor = identify_and_touch(app, &head, None).await?;
    let target = target?;
    // All names of a prefix start with it, so who may administer it may administer them.
    may_freeze(&actor, "freeze", target.as_deref().unwrap_or_default())?;
    let order = request::order(app, target, &app.body(&head, body).await?, &actor.name)?;
    if order.holds == FreezeHolds::Break {
        may_break(&actor)?;
    }
    let target = order.target.clone();
    let by = administration::by(&actor, &head);
    let freeze = administration::freeze(app, by, order).await?.map_err(Failure::of)?;
    answer(&ShownFreeze::new(&target, &freeze, (freeze.since, app.engine.is_sweeping()), true))
}

/// Thaw a target
///
/// Needs the admin role, and the right to every name that it froze. Who waits gets its lock in its turn, a thousand locks at a
/// time. Other freezes of the same names go on.
#[utoipa::path(
    delete,
    path = "/v1/freezes/{target}",
    params(TargetInPath, ThawReason),
    request_body(content = Option<ThawRequest>, example = json!({"reason": "the release is out"})),
    responses((status = 200, description = "The freeze has ended; as it was.", body = ShownFreeze), ThawErrors),
)]
pub async fn thaw(State(app): State<AppState>, captured: Captured, request: Request) -> Answer {
    let target = target_in_path(&app, &captured).map(Some);
    end(&app, target, request).await
}

/// Thaw any target
///
/// As `DELETE /v1/freezes/{target}`. The freeze of everything is ended by `match=everything` alone: an empty target without it is
/// refused.
#[utoipa::path(
    delete,
    path = "/v1/freezes",
    params(TargetInQuery, ThawMatch, ThawReason),
    request_body(content = Option<ThawRequest>, example = json!({"reason": "the release is out"})),
    responses((status = 200, description = "The freeze has ended; as it was.", body = ShownFreeze), ThawErrors),
)]
pub async fn thaw_by_target(State(app): State<AppState>, request: Request) -> Answer {
    let target = target_in_query(&app, Query::of(request.uri()));
    end(&app, target, request).await
}

async fn end(app: &AppState, target: Result<Option<Name>, Failure>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let actor = identify_and_touch(app, &head, None).await?;
    let target = target?;
    may_freeze(&actor, "thaw", target.as_deref().unwrap_or_default())?;
    let (target, reason) = request::thaw(app, target, Query::of(&head.uri), &app.body(&head, body).await?)?;
    let by = administration::by(&actor, &head);
    let freeze = administration::thaw(app, by, &target, &reason).await?.map_err(Failure::of)?;
    answer(&ShownFreeze::new(&target, &freeze, (app.engine.now(), app.engine.is_sweeping()), true))
}
