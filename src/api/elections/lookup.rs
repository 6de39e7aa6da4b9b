//! Who leads, and for how long that can be relied on.

use super::asked::{election_in_path, election_in_query};
use super::schema::Leader;
use crate::access::Identity;
use crate::api::answer::{Answer, answer};
use crate::api::inspect::query::NameInPath;
use crate::domain::Name;
use crate::http::auth::{identify_and_touch, may_read};
use crate::http::endpoint::{CREDENTIAL, READ, errors};
use crate::http::query::Captured;
use crate::http::{App, AppState, Code, Failure, Problem, Query};
use axum::extract::State;
use axum::http::request::Parts;

const REFUSED: [Code; 4] = [Code::InvalidField, Code::LimitExceeded, Code::Forbidden, Code::NoElectedLeader];
errors!(LeaderErrors: Problem<'_>, REFUSED, CREDENTIAL, READ);

/// Show the leader
///
/// Linearizable on any node. Needs no session. For `reliable_for_seconds`, counted from the moment at which the request was
/// sent, nobody else is elected. Clients and proxies change some names on the way: `GET /v1/elections?name=` takes any.
#[utoipa::path(
    get,
    path = "/v1/elections/{name}",
    params(NameInPath),
    responses((status = 200, description = "Who leads.", body = Leader), LeaderErrors),
)]
pub async fn show_leader(State(app): State<AppState>, captured: Captured, head: Parts) -> Answer {
    let viewer = identify_and_touch(&app, &head, None).await?;
    show(&app, &viewer, election_in_path(&app, &captured)?).await
}

/// Show the leader of an election with any name
///
/// Linearizable on any node. Needs no session. For `reliable_for_seconds`, counted from the moment at which the request was
/// sent, nobody else is elected.
#[utoipa::path(
    get,
    path = "/v1/elections",
    params(("name" = String, Query, description = "The election's name.", format = "lock-name", min_length = 1, example = "database/primary")),
    responses((status = 200, description = "Who leads.", body = Leader), LeaderErrors),
)]
pub async fn show_leader_by_name(State(app): State<AppState>, head: Parts) -> Answer {
    let viewer = identify_and_touch(&app, &head, None).await?;
    show(&app, &viewer, election_in_query(&app, Query::of(&head.uri))?).await
}

async fn show(app: &App, viewer: &Identity, name: Name) -> Answer {
    may_read(viewer, &name)?;
    let leader = app.engine.leader(&name).await.map_err(Failure::of)?;
    let leader = leader.ok_or_else(|| Failure::from(Code::NoElectedLeader))?;
    answer(&Leader::from(leader))
}
