//! A candidate campaigns: it takes the lock of the election, or waits for it.

use super::asked::{NAMES, election_in_path, election_in_query};
use super::in_session::{Candidate, IN_SESSION, in_session};
use super::request::CampaignRequest;
use super::schema::{Elected, NotElected};
use crate::api::answer::Answer;
use crate::api::inspect::query::NameInPath;
use crate::domain::{Acquire, Dialect, Name, Refusal, Terms, Wait};
use crate::engine::{Engine, Fault};
use crate::http::auth::{self, may_take};
use crate::http::deadlock::BlockedBy;
use crate::http::delivery::granted;
use crate::http::endpoint::{BODY, CREDENTIAL, Either, IdempotencyHeader, KEYED, NEW_HOLD, WRITE, errors};
use crate::http::failure::More;
use crate::http::frozen::Frozen;
use crate::http::idempotency::{Scope, request_key};
use crate::http::query::Captured;
use crate::http::respond::{json, to_json};
use crate::http::{AppState, Code, Failure, Problem, Query};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;

const CAMPAIGN: [Code; 6] = [
    Code::SizeMismatch,
    Code::WouldDeadlock,
    Code::WaitCancelled,
    Code::QueueFull,
    Code::SessionHoldsFull,
    Code::NotYet,
];
errors!(CampaignErrors: Problem<'_>, BODY, IN_SESSION, CAMPAIGN, CREDENTIAL, WRITE, NEW_HOLD, KEYED);

/// Campaign
///
/// Without `wait_timeout_seconds` it tries once. With it the request waits for its turn, first come first served, and leaves
/// the queue when the time is over or the connection closes. The leader renews its lease with `POST /v1/renew`; it stops to
/// lead when the lease or the session ends. Clients and proxies change some names on the way: `POST /v1/elections?name=`
/// takes any.
#[utoipa::path(
    post,
    path = "/v1/elections/{name}",
    params(NameInPath, IdempotencyHeader),
    request_body(content = CampaignRequest, example = json!({"value": "10.0.0.7:5432", "lease_seconds": 10, "wait_timeout_seconds": 30})),
    responses(
        (status = 200, description = "Elected, or not: `elected` tells.", body = inline(Either<Elected<'_>, NotElected<'_>>), headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        CampaignErrors,
    ),
    security(("session" = [])),
)]
pub async fn campaign(State(app): State<AppState>, captured: Captured, request: Request) -> Answer {
    let name = election_in_path(&app, &captured);
    in_session(&app, request, async |candidate, body| elect(candidate, name?, &body).await).await
}

/// Campaign in an election with any name
///
/// Without `wait_timeout_seconds` it tries once. With it the request waits for its turn, first come first served, and leaves
/// the queue when the time is over or the connection closes. The leader renews its lease with `POST /v1/renew`; it stops to
/// lead when the lease or the session ends.
#[utoipa::path(
    post,
    path = "/v1/elections",
    params(
        ("name" = String, Query, description = "The election's name.", format = "lock-name", min_length = 1, example = "database/primary"),
        IdempotencyHeader,
    ),
    request_body(content = CampaignRequest, example = json!({"value": "10.0.0.7:5432", "lease_seconds": 10, "wait_timeout_seconds": 30})),
    responses(
        (status = 200, description = "Elected, or not: `elected` tells.", body = inline(Either<Elected<'_>, NotElected<'_>>), headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        CampaignErrors,
    ),
    security(("session" = [])),
)]
pub async fn campaign_by_name(State(app): State<AppState>, request: Request) -> Answer {
    let name = election_in_query(&app, Query::of(request.uri()));
    in_session(&app, request, async |candidate, body| elect(candidate, name?, &body).await).await
}

async fn elect(candidate: &Candidate<'_>, name: Name, body: &[u8]) -> Result<Response, Failure> {
    let (engine, acquire) = (&candidate.app.engine, asked(candidate, name.clone(), body)?);
    let value = acquire.terms.as_ref().and_then(|terms| terms.value.clone()).unwrap_or_default();
    match engine.acquire(acquire).await {
        Ok(hold) => {
            let expires_in = hold.expires_in.unwrap_or(Duration::ZERO);
            let body = to_json(&Elected::new(&name, &value, hold.key, hold.token, expires_in));
            Ok(granted(candidate.head, hold.delivery, StatusCode::OK, body))
        }
        Err(Fault::Refused(Refusal::Held(_) | Refusal::WaitTimedOut)) => {
            let leader = engine.leader(&name).await.map_err(Failure::of)?;
            Ok(json(StatusCode::OK, to_json(&NotElected::new(&name, leader, None))))
        }
        Err(Fault::Refused(Refusal::Frozen(by))) => {
            let leader = engine.leader(&name).await.map_err(Failure::of)?;
            let frozen = Some(Frozen::from(&*by));
            Ok(json(StatusCode::OK, to_json(&NotElected::new(&name, leader, frozen))))
        }
        Err(fault) => Err(not_elected(candidate, &fault)),
    }
}

/// A deadlock is told whole.
fn not_elected(candidate: &Candidate<'_>, fault: &Fault) -> Failure {
    let failure = Failure::from_fault(fault, &NAMES);
    let Fault::Refused(Refusal::WouldDeadlock { cycle }) = fault else { return failure };
    let cycle = BlockedBy::all(cycle, |name| candidate.identity.may_read(name));
    failure.with(More { cycle: Some(cycle), ..More::default() })
}

fn asked(candidate: &Candidate<'_>, name: Name, body: &[u8]) -> Result<Box<Acquire>, Failure> {
    let Candidate { app, head, identity, session } = candidate;
    let asked = CampaignRequest::parse(body, &app.engine.limits(), app.settings.unknown_fields)?;
    may_take(identity, &name)?;
    let scope = Scope { identity, session: Some(*session) };
    Ok(Box::new(Acquire {
        session: Some(*session),
        remembers_size: true,
        lease_ms: Some(asked.lease_ms),
        wait: (asked.wait_ms > 0).then_some(Wait::Guarded { timeout_ms: asked.wait_ms }),
        metadata: asked.metadata,
        idempotency_key: request_key(head, asked.request_id.as_deref(), &scope, body)?,
        caller: auth::caller(identity, head),
        terms: Some(Arc::new(Terms { value: Some(asked.value), ..Terms::default() })),
        ..Acquire::new(name, Engine::new_key(), Dialect::LdlmRest)
    }))
}
