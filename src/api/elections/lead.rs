//! A leader changes its value, and resigns.

use super::asked::{NAMES, election_in_path, election_in_query};
use super::in_session::{Candidate, IN_SESSION, in_session};
use super::request::{SetValueRequest, leaders_key};
use super::schema::{Elected, Resigned};
use crate::api::answer::Answer;
use crate::api::inspect::query::NameInPath;
use crate::domain::{HoldKey, Name, Proof, Refusal};
use crate::engine::Fault;
use crate::http::auth::may_take;
use crate::http::endpoint::{BODY, CREDENTIAL, WRITE, errors};
use crate::http::query::Captured;
use crate::http::respond::{json, to_json};
use crate::http::{AppState, Code, Failure, Problem, Query};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use utoipa::IntoParams;

const OF_LEADER: [Code; 4] = [Code::NoSuchLock, Code::WrongKey, Code::NotElected, Code::NotYet];
errors!(ValueErrors: Problem<'_>, BODY, IN_SESSION, OF_LEADER, [Code::TableFull, Code::ShareFull], CREDENTIAL, WRITE);
errors!(ResignErrors: Problem<'_>, BODY, IN_SESSION, OF_LEADER, CREDENTIAL, WRITE);

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`key_in_query` reads it")]
struct KeyQuery {
    /// The key that the leader was given.
    #[param(min_length = 1, example = "9e2c0102-0304-4506-8708-090a0b0c0d0e")]
    key: String,
}

/// Change the leader's value
///
/// The key shows the right to; the fencing token stays. Clients and proxies change some names on the way:
/// `PUT /v1/elections?name=` takes any.
#[utoipa::path(
    put,
    path = "/v1/elections/{name}",
    params(NameInPath),
    request_body(content = SetValueRequest),
    responses(
        (status = 200, description = "The value is changed.", body = Elected<'_>, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        ValueErrors,
    ),
    security(("session" = [])),
)]
pub async fn set_value(State(app): State<AppState>, captured: Captured, request: Request) -> Answer {
    let name = election_in_path(&app, &captured);
    in_session(&app, request, async |candidate, body| change(candidate, name?, &body).await).await
}

/// Change the value of the leader of an election with any name
///
/// The key shows the right to; the fencing token stays.
#[utoipa::path(
    put,
    path = "/v1/elections",
    params(("name" = String, Query, description = "The election's name.", format = "lock-name", min_length = 1, example = "database/primary")),
    request_body(content = SetValueRequest),
    responses(
        (status = 200, description = "The value is changed.", body = Elected<'_>, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        ValueErrors,
    ),
    security(("session" = [])),
)]
pub async fn set_value_by_name(State(app): State<AppState>, request: Request) -> Answer {
    let name = election_in_query(&app, Query::of(request.uri()));
    in_session(&app, request, async |candidate, body| change(candidate, name?, &body).await).await
}

async fn change(candidate: &Candidate<'_>, name: Name, body: &[u8]) -> Result<Response, Failure> {
    let Candidate { app, identity, session, .. } = candidate;
    let SetValueRequest { key, value } =
        SetValueRequest::parse(body, &app.engine.limits(), app.settings.unknown_fields)?;
    may_take(identity, &name)?;
    let changed = app.engine.set_value(name.clone(), Some(*session), key, value.clone()).await;
    let hold = changed.map_err(|fault| Failure::from_fault(&fault, &NAMES))?;
    let elected = Elected::new(&name, &value, hold.key, hold.token, hold.expires_in.unwrap_or_default());
    Ok(json(StatusCode::OK, to_json(&elected)))
}

/// Resign
///
/// Ends the leadership. The next leader is elected when nobody can rely on an answer that still names this one: after
/// `elections.reliable_max` at most. Clients and proxies change some names on the way: `DELETE /v1/elections?name=` takes any.
#[utoipa::path(
    delete,
    path = "/v1/elections/{name}",
    params(NameInPath, KeyQuery),
    responses(
        (status = 200, description = "The caller does not lead any more.", body = Resigned<'_>, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        ResignErrors,
    ),
    security(("session" = [])),
)]
pub async fn resign(State(app): State<AppState>, captured: Captured, request: Request) -> Answer {
    let (name, key) = (election_in_path(&app, &captured), key_in_query(&request));
    in_session(&app, request, async |candidate, _| end(candidate, name?, key?).await).await
}

/// Resign from an election with any name
///
/// Ends the leadership. The next leader is elected when nobody can rely on an answer that still names this one: after
/// `elections.reliable_max` at most.
#[utoipa::path(
    delete,
    path = "/v1/elections",
    params(
        ("name" = String, Query, description = "The election's name.", format = "lock-name", min_length = 1, example = "database/primary"),
        KeyQuery,
    ),
    responses(
        (status = 200, description = "The caller does not lead any more.", body = Resigned<'_>, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        ResignErrors,
    ),
    security(("session" = [])),
)]
pub async fn resign_by_name(State(app): State<AppState>, request: Request) -> Answer {
    let (name, key) = (election_in_query(&app, Query::of(request.uri())), key_in_query(&request));
    in_session(&app, request, async |candidate, _| end(candidate, name?, key?).await).await
}

fn key_in_query(request: &Request) -> Result<HoldKey, Failure> {
    leaders_key(Query::of(request.uri()).text("key")?)
}

/// The key of a hold that is no leader's ends nothing here: a hold never becomes one.
async fn end(candidate: &Candidate<'_>, name: Name, key: HoldKey) -> Result<Response, Failure> {
    let Candidate { app, identity, session, .. } = candidate;
    may_take(identity, &name)?;
    if app.engine.is_election(&name, key).await.map_err(Failure::of)? == Some(false) {
        return Err(Failure::of(Fault::Refused(Refusal::NotElected)));
    }
    let released = app.engine.release(name.clone(), Some(*session), Proof::Key(key)).await;
    released.map_err(|fault| Failure::from_fault(&fault, &NAMES))?;
    Ok(json(StatusCode::OK, to_json(&Resigned { resigned: true, name: &name })))
}
