//! The forced release: an admin ends another client's hold. The log keeps the admin's name and the reason.

use super::query::{NameInPath, hold_in_path, hold_in_query};
use super::schema::ForcedRelease;
use crate::api::answer::{Answer, answer};
use crate::api::reason;
use crate::domain::view::HoldView;
use crate::domain::{HoldKey, Name};
use crate::http::auth::{identify_and_touch, may_administer};
use crate::http::endpoint::{ACT, BODY, CREDENTIAL, WRITE, errors};
use crate::http::json_object::{FieldName, Trailing, parse};
use crate::http::query::Captured;
use crate::http::unknown_fields::UnknownFields;
use crate::http::{App, AppState, Code, Failure, Problem, Query, administration};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use std::borrow::Cow;
use utoipa::{IntoParams, ToSchema};

/// The body, where the reason is not in the query.
#[derive(ToSchema)]
pub struct ForceReleaseRequest {
    /// Why the hold is ended; written to the log with the caller's name.
    #[schema(min_length = 1, max_length = 256, example = "the worker hangs, ticket 4411")]
    #[expect(dead_code, reason = "describes the field that `reason_in` reads")]
    pub reason: String,
}

const REFUSED: [Code; 4] = [Code::InvalidField, Code::LimitExceeded, Code::NoSuchLock, Code::WrongKey];
errors!(ForceErrors: Problem<'_>, BODY, REFUSED, ACT, CREDENTIAL, WRITE);

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`reason` reads the query itself")]
struct ReasonQuery {
    /// Why, in at most 256 bytes; may stand in the body instead.
    reason: Option<String>,
}

/// End another client's hold
///
/// Needs the admin role. The reason is required, in the query or in the body, and is written to the log with the caller's
/// name, the lock and the fencing token. A hold of several names ends under all of them, and needs the right to each. The
/// next waiter gets the lock at once, with a higher token; the old holder learns of it at its next request. Clients and
/// proxies change some names on the way: they take `.` and `..` for steps in a path, and may decode `%2F`.
/// `DELETE /v1/holds?name=&key=` does the same for any name.
#[utoipa::path(
    delete,
    path = "/v1/locks/{name}/holds/{key}",
    params(
        NameInPath,
        ("key" = String, Path, description = "The hold's key, as `GET /v1/locks?name=` shows it to admins.", min_length = 1),
        ReasonQuery,
    ),
    request_body(content = Option<ForceReleaseRequest>, example = json!({"reason": "the worker hangs, ticket 4411"})),
    responses((status = 200, description = "The hold was ended.", body = ForcedRelease), ForceErrors),
)]
pub async fn force_release(State(app): State<AppState>, captured: Captured, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let hold = hold_in_path(&app, &captured);
    release(&app, hold, &head, body).await
}

/// End another client's hold, of a lock with any name
///
/// Needs the admin role. The reason is required, in the query or in the body, and is written to the log with the caller's
/// name, the lock and the fencing token. A hold of several names ends under all of them, and needs the right to each. The
/// next waiter gets the lock at once, with a higher token; the old holder learns of it at its next request.
#[utoipa::path(
    delete,
    path = "/v1/holds",
    params(
        ("name" = String, Query, description = "The lock's name.", format = "lock-name", min_length = 1, example = "deploy/production"),
        ("key" = String, Query, description = "The hold's key, as `GET /v1/locks?name=` shows it to admins."),
        ReasonQuery,
    ),
    request_body(content = Option<ForceReleaseRequest>, example = json!({"reason": "the worker hangs, ticket 4411"})),
    responses((status = 200, description = "The hold was ended.", body = ForcedRelease), ForceErrors),
)]
pub async fn force_release_by_name(State(app): State<AppState>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let hold = hold_in_query(&app, Query::of(&head.uri));
    release(&app, hold, &head, body).await
}

async fn release(app: &AppState, hold: Result<(Name, HoldKey), Failure>, head: &Parts, body: Body) -> Answer {
    let actor = identify_and_touch(app, head, None).await?;
    let (name, key) = hold?;
    may_administer(&actor, "force the release of", &name)?;
    let reason = reason(app, head, body).await?;
    let hold = hold_with(app, &name, key).await?;
    let names: Vec<String> = hold.names().map(Name::to_string).collect();
    if !names.iter().all(|name| actor.may_administer(name)) {
        let detail = "the hold ends under all its names, and this credential may not administer some of them";
        return Err(Failure::new(Code::Forbidden, detail).into());
    }
    let by = administration::by(&actor, head);
    let released = administration::force_release(app, by, &name, &hold, &reason).await?.map_err(Failure::of)?;
    let (name, waiter_granted) = (name.to_string(), released.waiter_granted);
    answer(&ForcedRelease { name, fencing_token: hold.token.0, waiter_granted, names })
}

/// A hold as it is now, with all its names.
async fn hold_with(app: &App, name: &Name, key: HoldKey) -> Result<HoldView, Failure> {
    let (lock, _) = app.engine.lock(name).await.map_err(Failure::of)?;
    let lock = lock.ok_or_else(|| Failure::from(Code::NoSuchLock))?;
    lock.into_hold(key).ok_or_else(|| Failure::from(Code::WrongKey))
}

async fn reason(app: &App, head: &Parts, body: Body) -> Result<String, Failure> {
    let reason = match Query::of(&head.uri).text("reason")? {
        Some(reason) => reason.into_owned(),
        None => reason_in(&app.body(head, body).await?, app.settings.unknown_fields)?,
    };
    reason::needed(&reason).map(str::to_owned)
}

fn reason_in(body: &[u8], unknown: UnknownFields) -> Result<String, Failure> {
    static FIELDS: [FieldName; 1] = [FieldName::word("reason")];
    if body.trim_ascii().is_empty() {
        return Ok(String::new());
    }
    let [reason] = parse(body, &FIELDS, Trailing::Refused, unknown)?;
    let malformed = || Failure::new(Code::MalformedBody, "the body must be {\"reason\": \"…\"}");
    let reason = reason.text("reason").map_err(|_| malformed())?;
    reason.map(Cow::into_owned).ok_or_else(malformed)
}
