//! The freezes that a caller may see: those that concern any name it may see.

use super::change::TargetInPath;
use super::request::{target_in_path, target_in_query};
use super::schema::{FreezeList, ShownFreeze};
use crate::access::Identity;
use crate::api::answer::{Answer, answer};
use crate::api::inspect::query::{self, ConsistencyQuery, PageQuery, lock_name_in_query};
use crate::domain::{Covers, Freeze, FreezesView, Name, Timestamp};
use crate::http::auth::{identify_and_touch, may_read};
use crate::http::endpoint::{CREDENTIAL, READ, errors};
use crate::http::query::Captured;
use crate::http::{AppState, Code, Failure, Problem, Query};
use axum::extract::State;
use axum::http::request::Parts;
use utoipa::IntoParams;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`list_freezes` reads the query itself")]
struct FreezesQuery {
    /// Only freezes of this lock: of its name, and of prefixes of it. Not together with `target`.
    #[param(format = "lock-name", min_length = 1, example = "deploy/production")]
    name: Option<String>,
    /// Only the freeze with this target.
    target: Option<String>,
}

errors!(ShowErrors: Problem<'_>, [Code::InvalidField, Code::LimitExceeded, Code::NoSuchFreeze], CREDENTIAL, READ);
errors!(ListErrors: Problem<'_>, [Code::InvalidField, Code::LimitExceeded, Code::Forbidden], CREDENTIAL, READ);

/// Show one freeze
///
/// Clients and proxies change some names on the way: `GET /v1/freezes?target=` shows any.
#[utoipa::path(
    get,
    path = "/v1/freezes/{target}",
    params(TargetInPath, ConsistencyQuery),
    responses((status = 200, description = "The freeze.", body = ShownFreeze), ShowErrors),
)]
pub async fn show_freeze(State(app): State<AppState>, captured: Captured, head: Parts) -> Answer {
    let viewer = identify_and_touch(&app, &head, None).await?;
    let target = target_in_path(&app, &captured)?;
    let (freezes, now) = freezes(&app, &head).await?;
    let freeze = freezes.get(&target, now).filter(|freeze| sees(&viewer, &target, freeze));
    let freeze = freeze.ok_or_else(|| Failure::from(Code::NoSuchFreeze))?;
    answer(&ShownFreeze::new(&target, freeze, (now, freezes.is_sweeping()), viewer.may_administer(&target)))
}

/// List freezes
///
/// In the order of their targets, page by page.
#[utoipa::path(
    get,
    path = "/v1/freezes",
    params(FreezesQuery, PageQuery, ConsistencyQuery),
    responses((status = 200, description = "One page of freezes.", body = FreezeList), ListErrors),
)]
pub async fn list_freezes(State(app): State<AppState>, head: Parts) -> Answer {
    let viewer = identify_and_touch(&app, &head, None).await?;
    let asked = Query::of(&head.uri);
    let (name, target) = (lock_name_in_query(&app, asked)?, target_in_query(&app, asked)?);
    if name.is_some() && target.is_some() {
        return Err(Failure::field("name", "name and target exclude each other: give one of them").into());
    }
    if let Some(name) = &name {
        may_read(&viewer, name)?;
    }
    let (after, limit) = (query::cursor(asked, query::read_name)?.map(Name::from), query::limit(asked)?);
    let (freezes, now) = freezes(&app, &head).await?;
    let is_asked_for = |of: &Name, freeze: &Freeze| {
        let has_target = target.as_ref().is_none_or(|target| target == of);
        has_target && name.as_ref().is_none_or(|name| freeze.concerns(of, name)) && sees(&viewer, of, freeze)
    };
    let mut listed = freezes.after(after.as_ref(), now).filter(|(target, freeze)| is_asked_for(target, freeze));
    let page: Vec<(&Name, &Freeze)> = listed.by_ref().take(limit).collect();
    let next_cursor = page.last().filter(|_| listed.next().is_some()).map(|(target, _)| query::after_name(target));
    let at = (now, freezes.is_sweeping());
    let shown =
        |(target, freeze): (&Name, &Freeze)| ShownFreeze::new(target, freeze, at, viewer.may_administer(target));
    answer(&FreezeList { freezes: page.into_iter().map(shown).collect(), next_cursor })
}

async fn freezes(app: &AppState, head: &Parts) -> Result<(FreezesView, Timestamp), Failure> {
    let engine = app.engine.with_consistency(query::consistency(Query::of(&head.uri))?);
    engine.freezes().await.map_err(Failure::of)
}

/// Whoever may see any name under it is told of it when refused, and so may see it here.
fn sees(viewer: &Identity, target: &Name, freeze: &Freeze) -> bool {
    match freeze.covers {
        Covers::Name => viewer.may_read(target),
        Covers::Prefix => !viewer.prefixes_under(target).is_empty(),
    }
}
