//! `GET /status` as JSON: the holds of this dialect as its clients expect them, the others under a key of ours.

use super::super::auth::{identify_with, touch_carried};
use super::super::code::FieldNames;
use super::super::failure::Failure;
use super::super::query::Query;
use super::super::service::{Attempt, Shared};
use super::super::unknown::check_query;
use super::answer::{self, CredentialWords};
use super::schema::{OtherHold, OwnHold, StatusAnswer};
use crate::access::Identity;
use crate::domain::view::{HoldView, LockFilter};
use crate::domain::{Dialect, Name, Timestamp, Token};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, request::Parts};
use axum::response::Response;

/// The answer is bounded: beyond so many holds it says that it was cut.
const HOLDS_MAX: usize = 10_000;
const LOCKS_PER_PAGE: usize = 1_000;

const NAMES: FieldNames = FieldNames { name: "lockname", size: "size", lease: "lifetime", wait: "timeout" };
const WORDS: CredentialWords =
    CredentialWords { key: "status", missing: (StatusCode::BAD_REQUEST, "no api key"), wrong: "invalid key" };

/// The JSON form; the router hands requests for HTML to the status page.
pub async fn status(State(service): State<Shared>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return answer::other_method(&service, head.method == Method::OPTIONS, "OPTIONS, HEAD, GET");
    }
    match try_status(&service, &head).await {
        Ok(response) => response,
        Err(failure) => answer::failure(&service, &failure),
    }
}

async fn try_status(service: &Shared, head: &Parts) -> Attempt<Response> {
    let auth = Query::of(&head.uri).text("auth")?;
    let identity = match identify_with(service, head, auth.as_deref()).await {
        Ok(identity) => identity,
        Err(denied) => return Ok(answer::not_let_in(service, &denied, WORDS)),
    };
    touch_carried(service, &identity, head).await;
    check_query(Query::of(&head.uri), &["auth"], service.settings.unknown)?;
    let found = collect(service, &identity).await?;
    let body = StatusAnswer {
        servername: answer::server_name(service),
        status: "ok",
        locks: found.own.iter().map(|(_, hold)| hold).collect(),
        other_locks: &found.others,
        truncated: found.truncated,
    };
    Ok(answer::json(service, StatusCode::OK, &body))
}

#[derive(Default)]
struct Found {
    own: Vec<(Token, OwnHold)>,
    others: Vec<OtherHold>,
    truncated: bool,
}

async fn collect(service: &Shared, identity: &Identity) -> Attempt<Found> {
    let mut found = Found::default();
    let mut after: Option<Name> = None;
    loop {
        let filter = LockFilter { held: Some(true), ..LockFilter::default() };
        let page = service.engine.locks(filter, after, LOCKS_PER_PAGE).await;
        let page = page.map_err(|fault| Failure::from_fault(&fault, &NAMES))?;
        for lock in page.locks.iter().filter(|lock| identity.may_read(&lock.name)) {
            for hold in &lock.holds {
                found.add(&lock.name, hold, identity, page.now);
            }
        }
        found.truncated |= page.next.is_some() && found.own.len() + found.others.len() >= HOLDS_MAX;
        after = page.next;
        if after.is_none() || found.truncated {
            break;
        }
    }
    // Tokens rise with every grant, so this is the order of acquisition.
    found.own.sort_unstable_by_key(|(token, _)| *token);
    Ok(found)
}

impl Found {
    fn add(&mut self, name: &Name, hold: &HoldView, identity: &Identity, now: Timestamp) {
        if self.own.len() + self.others.len() >= HOLDS_MAX {
            self.truncated = true;
            return;
        }
        let lockname = name.to_string();
        let remaining = hold.ends.map(|end| end.since(now).as_secs_f64());
        if hold.dialect == Dialect::GetLock {
            // Who may not see the token gets the key that its clients look for, with nothing in it.
            let visible = identity.may_administer(name);
            let sessiontoken = if visible { hold.key.to_string() } else { String::new() };
            self.own.push((hold.token, OwnHold { lockname, sessiontoken, remaining }));
        } else {
            self.others.push(OtherHold { lockname, dialect: hold.dialect.as_str(), remaining });
        }
    }
}
