//! Another size of a counted lock: an admin changes how many clients may hold it at once.

use super::query::{NameInPath, lock_name, lock_name_in_query};
use crate::api::answer::{Answer, answer};
use crate::audit::{Act, Action};
use crate::domain::{Command, Field, Name};
use crate::http::auth::{identify_and_touch, may_administer};
use crate::http::endpoint::{ACT, BODY, CREDENTIAL, WRITE, errors};
use crate::http::json_object::{FieldName, Trailing, parse};
use crate::http::query::Captured;
use crate::http::{App, AppState, Code, Failure, Problem, Query, administration};
use axum::extract::{Request, State};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

#[derive(ToSchema)]
pub struct ResizeRequest {
    /// How many may hold the lock at once from now on, up to `locks.size_max`. At least 2: with 1 it would be exclusive.
    #[schema(minimum = 2, example = 4)]
    #[expect(dead_code, reason = "describes the field that `asked_size` reads")]
    size: u32,
}

/// The lock has this size now.
#[derive(Serialize, ToSchema)]
pub struct Resized {
    name: String,
    size: u32,
}

const REFUSED: [Code; 6] =
    [Code::InvalidField, Code::LimitExceeded, Code::NoSuchLock, Code::NotCounted, Code::SizeBelowWeight, Code::NotYet];
errors!(ResizeErrors: Problem<'_>, BODY, REFUSED, ACT, [Code::UnsupportedMediaType], CREDENTIAL, WRITE);

/// Change the size of a counted lock
///
/// Needs the admin role, and is logged with the caller's name. A larger size lets the next waiters in at once. With a smaller
/// one all holds stay, and nobody is granted the lock until enough are released. Clients and proxies change some names on the way:
/// `PUT /v1/size?name=` takes any.
#[utoipa::path(
    put,
    path = "/v1/locks/{name}/size",
    params(NameInPath),
    request_body(content = ResizeRequest),
    responses((status = 200, description = "The lock has this size now.", body = Resized), ResizeErrors),
)]
pub async fn resize(State(app): State<AppState>, captured: Captured, request: Request) -> Answer {
    let name = lock_name(&app, &captured);
    change(&app, name, request).await
}

/// Change the size of a counted lock with any name
///
/// Needs the admin role, and is logged with the caller's name. A larger size lets the next waiters in at once. With a smaller
/// one all holds stay, and nobody is granted the lock until enough are released.
#[utoipa::path(
    put,
    path = "/v1/size",
    params(("name" = String, Query, description = "The lock's name.", format = "lock-name", min_length = 1, example = "deploy/production")),
    request_body(content = ResizeRequest),
    responses((status = 200, description = "The lock has this size now.", body = Resized), ResizeErrors),
)]
pub async fn resize_by_name(State(app): State<AppState>, request: Request) -> Answer {
    let missing = || Failure::field("name", "name must be given in the query");
    let name = lock_name_in_query(&app, Query::of(request.uri())).and_then(|name| name.ok_or_else(missing));
    change(&app, name, request).await
}

async fn change(app: &AppState, name: Result<Name, Failure>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let actor = identify_and_touch(app, &head, None).await?;
    let name = name?;
    may_administer(&actor, "change the size of", &name)?;
    let size = asked_size(app, &app.body(&head, body).await?)?;
    let (engine, by, lock) = (app.engine.clone(), administration::by(&actor, &head), name.clone());
    let act = Act::new(Action::Resize).on("lock", &*name).on("size", size);
    let actor = Arc::clone(&by.who);
    let command = Command::Resize { name: name.clone(), size };
    let resized = administration::carry_out(app, by, act, Some(command), async move {
        let size = engine.resize(lock.clone(), size).await?;
        let (actor, lock) = (&*actor, &*lock);
        tracing::warn!(actor, ?lock, size, "{actor} changed the size of {lock:?} to {size}");
        Ok(size)
    });
    let size = resized.await?.map_err(Failure::of)?;
    answer(&Resized { name: name.to_string(), size })
}

fn asked_size(app: &App, body: &[u8]) -> Result<u32, Failure> {
    static FIELDS: [FieldName; 1] = [FieldName::word("size")];
    let [size] = parse(body, &FIELDS, Trailing::Refused, app.settings.unknown_fields)?;
    let limit = app.engine.limits().size_max;
    let refused = || {
        let detail = format!("size must be a whole number from 2 to {limit}");
        Failure::field("size", detail).with_limit(limit).set_by(Field::Size.config_key())
    };
    let number = size.number("size")?.filter(|number| number.fract() == 0.0).ok_or_else(refused)?;
    if (2.0..=limit as f64).contains(&number) { Ok(number as u32) } else { Err(refused()) }
}
