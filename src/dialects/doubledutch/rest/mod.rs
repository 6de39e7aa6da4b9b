//! GET_LOCK style: DoubleDutch's three endpoints, parameters in the query string, the API key as `auth`.
//!
//! Beyond it: the key in a header, a session cookie that binds the hold, `fencing_token` and `expires_in` in answers,
//! fractions of a timeout, fair queues. `/releaselock` needs no `auth` where the token fits.

mod answer;
mod holds;
mod schema;

use crate::access::Identity;
use crate::domain::view::{HoldView, LockFilter};
use crate::domain::{Dialect, Name, Timestamp};
use crate::http::auth::identify_and_touch;
use crate::http::endpoint::{Chapter, Documentation, Either, WRITE, add_schema, errors};
use crate::http::json_stream::{self, listed};
use crate::http::respond::{push_string, seconds, to_json};
use crate::http::unknown_fields::check_query;
use crate::http::{Code, Declaration, Failure, HoldDialect, Query, Routes};
use answer::{CredentialMessages, GetLock, NAMES};
use axum::extract::{Request, State};
use axum::http::{StatusCode, request::Parts};
use axum::response::Response;
use axum::routing::any;
use schema::{ErrorAnswer, OtherHold, OwnHold, StatusAnswer, StatusError, StatusQuery};
use std::iter::once;

pub static DECLARATION: Declaration = Declaration {
    label: "get_lock",
    dialect: Some(HoldDialect {
        id: Dialect::DoubleDutch,
        title: "GET_LOCK style",
        write_key: |key, _| key.to_string(),
    }),
    services: &[],
    routes: |app, config| routes().with_state(GetLock::new(app, config)),
    documentation: Some(&Documentation {
        chapter: Chapter::Predecessor,
        tag: "GET_LOCK style",
        about: "DoubleDutch's three endpoints: parameters in the query string, the password or API key as `auth` there \
            or in a header. The `sessiontoken` shows the right to release. A request with a session cookie ties its hold \
            to that session.",
        endpoints: || routes().into_endpoints(),
        schemas: add_schema::<ErrorAnswer>,
    }),
};

fn routes() -> Routes<GetLock> {
    Routes::new()
        .described::<holds::__path_get_lock>(any(holds::get_lock))
        .uncounted("/getlock/", any(not_found))
        .described::<holds::__path_release_lock>(any(holds::release_lock))
        .uncounted("/releaselock/", any(not_found))
        .described::<__path_status>(any(status))
        .uncounted("/status/", any(not_found))
}

/// The 404 of this dialect, for its paths with a slash too many.
async fn not_found(State(state): State<GetLock>) -> Response {
    answer::text(&state, StatusCode::NOT_FOUND, "404 Not Found\r\n")
}

/// With more holds the answer is truncated, and `truncated` is set.
const HOLDS_MAX: usize = 10_000;
/// The same for its bytes: names, and so many more for each row.
const BYTES_MAX: usize = 4 << 20;
const ROW_BYTES: usize = 100;
const LOCKS_PER_PAGE: usize = 1_000;

const WORDS: CredentialMessages =
    CredentialMessages { key: "status", missing: (StatusCode::BAD_REQUEST, "no api key"), wrong: "invalid key" };

errors!(StatusErrors: ErrorAnswer, [Code::TooManyAttempts], WRITE);

/// List the holds
///
/// Tokens are shown to admins only. A browser, which asks for `text/html`, gets the console.
#[utoipa::path(
    get,
    path = "/status",
    params(StatusQuery),
    responses(
        (status = 200, description = "The holds of this dialect; with `Accept: text/html` the console.", content((StatusAnswer = "application/json"), (String = "text/html"))),
        (status = 400, description = "No credential, or a parameter that is not known.", body = inline(Either<StatusError, ErrorAnswer>)),
        (status = 401, description = "A wrong credential; on the page also a missing one.", body = StatusError),
        StatusErrors,
    ),
)]
// The router hands requests for HTML to the console.
async fn status(State(state): State<GetLock>, request: Request) -> Response {
    answer::answer(&state, request, "OPTIONS, HEAD, GET", try_status).await
}

async fn try_status(state: &GetLock, head: &Parts) -> Result<Response, Failure> {
    let auth = Query::of(&head.uri).text("auth")?;
    let identity = match identify_and_touch(&state.app, head, auth.as_deref()).await {
        Ok(identity) => identity,
        Err(denied) => return Ok(answer::unauthorized(state, &denied, WORDS)),
    };
    check_query(Query::of(&head.uri), &["auth"], state.app.settings.unknown_fields)?;
    let found = collect(state, &identity).await?;
    let response = json_stream::answer(head, found.written(state.server_name()))?;
    Ok(answer::with_common_headers(state, response))
}

/// The holds that are shown; their names are the table's own.
#[derive(Default)]
struct Found {
    own: Vec<OwnHold>,
    others: Vec<OtherHold>,
    bytes: usize,
    truncated: bool,
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
        let remaining = hold.ends.map(|end| seconds(end.since(now)));
        if hold.dialect == Dialect::DoubleDutch {
            let key = identity.may_administer(&name).then_some(hold.key);
            self.own.push(OwnHold { token: hold.token, lockname: name, sessiontoken: key, remaining });
        } else {
            self.others.push(OtherHold { lockname: name, dialect: hold.dialect.as_str(), remaining });
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
        let own = listed(self.own, |hold| to_json(&hold));
        let others = listed(self.others, |hold| to_json(&hold));
        let truncated = if self.truncated { ",\"truncated\":true" } else { "" };
        let end = format!("]{truncated}}}").into_bytes();
        once(head).chain(own).chain(once(b"],\"other_locks\":[".to_vec())).chain(others).chain(once(end))
    }
}
