//! `GET /status` as JSON: the holds of this dialect as its clients expect them, the others under a key of ours.

use super::answer::{self, CredentialMessages, GetLock};
use super::schema::{ErrorAnswer, OtherHold, OwnHold, StatusAnswer, StatusError, StatusQuery};
use crate::access::Identity;
use crate::domain::view::{HoldView, LockFilter};
use crate::domain::{Dialect, HoldKey, Name, Timestamp, Token};
use crate::http::auth::{identify_with, touch_cookie_session};
use crate::http::code::{Code, FieldNames};
use crate::http::code_groups::WRITE;
use crate::http::endpoint::{Either, errors};
use crate::http::failure::Failure;
use crate::http::json_stream::{self, listed};
use crate::http::query::Query;
use crate::http::respond::{push_string, to_json};
use crate::http::unknown_fields::check_query;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, request::Parts};
use axum::response::Response;
use std::iter::once;

/// With more holds the answer is truncated, and `truncated` is set.
const HOLDS_MAX: usize = 10_000;
/// The same for its bytes: names, and so many more for each row.
const BYTES_MAX: usize = 4 << 20;
const ROW_BYTES: usize = 100;
const LOCKS_PER_PAGE: usize = 1_000;

const NAMES: FieldNames = FieldNames { name: "lockname", size: "size", lease: "lifetime", wait: "timeout" };
const WORDS: CredentialMessages =
    CredentialMessages { key: "status", missing: (StatusCode::BAD_REQUEST, "no api key"), wrong: "invalid key" };

errors!(StatusErrors: ErrorAnswer, [Code::TooManyAttempts], WRITE);

/// List the holds
///
/// Tokens are shown to admins only. A browser, which asks for `text/html`, gets the status page.
#[utoipa::path(
    get,
    path = "/status",
    params(StatusQuery),
    responses(
        (status = 200, description = "The holds of this dialect; with `Accept: text/html` the status page.", content((StatusAnswer = "application/json"), (String = "text/html"))),
        (status = 400, description = "No credential, or a parameter that is not known.", body = inline(Either<StatusError, ErrorAnswer>)),
        (status = 401, description = "A wrong credential; on the page also a missing one.", body = StatusError),
        StatusErrors,
    ),
)]
// The router hands requests for HTML to the status page.
pub async fn status(State(state): State<GetLock>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return answer::other_method(&state, head.method == Method::OPTIONS, "OPTIONS, HEAD, GET");
    }
    try_status(&state, &head).await.unwrap_or_else(|failure| answer::failure(&state, &failure))
}

async fn try_status(state: &GetLock, head: &Parts) -> Result<Response, Failure> {
    let auth = Query::of(&head.uri).text("auth")?;
    let identity = match identify_with(&state.app, head, auth.as_deref()).await {
        Ok(identity) => identity,
        Err(denied) => return Ok(answer::unauthorized(state, &denied, WORDS)),
    };
    touch_cookie_session(&state.app, &identity, head).await;
    check_query(Query::of(&head.uri), &["auth"], state.app.settings.unknown_fields)?;
    let found = collect(state, &identity).await?;
    let response = json_stream::answer(head, found.written(state.server_name()))?;
    Ok(answer::with_common_headers(state, response))
}

/// The holds that are shown; their names are the table's own.
#[derive(Default)]
struct Found {
    own: Vec<Own>,
    others: Vec<Other>,
    bytes: usize,
    truncated: bool,
}

struct Own {
    token: Token,
    name: Name,
    /// `None` if the viewer may not see it.
    key: Option<HoldKey>,
    remaining: Option<f64>,
}

struct Other {
    name: Name,
    dialect: Dialect,
    remaining: Option<f64>,
}

async fn collect(state: &GetLock, identity: &Identity) -> Result<Found, Failure> {
    let mut found = Found::default();
    let mut after: Option<Name> = None;
    loop {
        let filter = LockFilter { held: Some(true), ..LockFilter::default() };
        let page = state.app.engine.locks(filter, after, LOCKS_PER_PAGE).await;
        let page = page.map_err(|fault| Failure::from_fault(&fault, &NAMES))?;
        for lock in page.locks.iter().filter(|lock| identity.may_read(&lock.name)) {
            for hold in &lock.holds {
                found.add(&lock.name, hold, identity, page.now);
            }
        }
        found.truncated |= page.next.is_some() && found.is_full();
        after = page.next;
        if after.is_none() || found.truncated {
            break;
        }
    }
    // Tokens rise with every grant, so this is the order of acquisition.
    found.own.sort_unstable_by_key(|hold| hold.token);
    Ok(found)
}

impl Found {
    fn add(&mut self, name: &Name, hold: &HoldView, identity: &Identity, now: Timestamp) {
        if self.is_full() {
            self.truncated = true;
            return;
        }
        self.bytes += name.len() + ROW_BYTES;
        let name = name.clone();
        let remaining = hold.ends.map(|end| end.since(now).as_secs_f64());
        if hold.dialect == Dialect::DoubleDutch {
            // Without the right to see tokens the field is empty, because clients expect it.
            let key = identity.may_administer(&name).then_some(hold.key);
            self.own.push(Own { token: hold.token, name, key, remaining });
        } else {
            self.others.push(Other { name, dialect: hold.dialect, remaining });
        }
    }

    fn is_full(&self) -> bool {
        self.own.len() + self.others.len() >= HOLDS_MAX || self.bytes >= BYTES_MAX
    }

    /// As `schema::StatusAnswer`, piece by piece.
    fn written(self, server_name: &str) -> impl Iterator<Item = Vec<u8>> + Send + use<> {
        let mut head = b"{\"servername\":".to_vec();
        push_string(&mut head, server_name);
        head.extend_from_slice(b",\"status\":\"ok\",\"locks\":[");
        let own = listed(self.own, |hold| {
            let sessiontoken = hold.key.map_or_else(String::new, |key| key.to_string());
            to_json(&OwnHold { lockname: hold.name.to_string(), sessiontoken, remaining: hold.remaining })
        });
        let others = listed(self.others, |hold| {
            let dialect = hold.dialect.as_str();
            to_json(&OtherHold { lockname: hold.name.to_string(), dialect, remaining: hold.remaining })
        });
        let truncated = if self.truncated { ",\"truncated\":true" } else { "" };
        let end = format!("]{truncated}}}").into_bytes();
        once(head).chain(own).chain(once(b"],\"other_locks\":[".to_vec())).chain(others).chain(once(end))
    }
}
