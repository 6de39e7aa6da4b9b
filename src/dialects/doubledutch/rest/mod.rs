//! GET_LOCK style: DoubleDutch's three endpoints, parameters in the query string, the API key as `auth`.
//!
//! Beyond it: the key in a header, a session cookie that binds the hold, `fencing_token` and `expires_in` in answers,
//! fractions of a timeout, fair queues. `/releaselock` needs no `auth` where the token fits.

mod answer;
mod holds;
mod schema;
mod status;

use crate::domain::Dialect;
use crate::http::Declaration;
use crate::http::catalog::HoldDialect;
use crate::http::endpoint::{Chapter, Documentation, add_schema};
use crate::http::routes::Routes;
use answer::GetLock;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::any;
use schema::ErrorAnswer;

pub static DECLARATION: Declaration = Declaration {
    label: "get_lock",
    dialect: Some(HoldDialect {
        id: Dialect::DoubleDutch,
        title: "GET_LOCK style",
        write_key: |key, _| key.to_string(),
    }),
    services: &[],
    routes: |app, config| routes().with_state(GetLock::new(app, config)),
    documentation: Some(&DOCUMENTATION),
};

const DOCUMENTATION: Documentation = Documentation {
    chapter: Chapter::Predecessor,
    tag: "GET_LOCK style",
    about: "DoubleDutch's three endpoints: parameters in the query string, the password or API key as `auth` there or in a \
        header. The `sessiontoken` shows the right to release. A request with a session cookie ties its hold to that session.",
    endpoints: || routes().into_endpoints(),
    schemas: add_schema::<ErrorAnswer>,
};

fn routes() -> Routes<GetLock> {
    Routes::new()
        .described::<holds::__path_get_lock>(any(holds::get_lock))
        .uncounted("/getlock/", any(not_found))
        .described::<holds::__path_release_lock>(any(holds::release_lock))
        .uncounted("/releaselock/", any(not_found))
        .described::<status::__path_status>(any(status::status))
        .uncounted("/status/", any(not_found))
}

/// The 404 of this dialect, for its paths with a slash too many.
async fn not_found(State(state): State<GetLock>) -> Response {
    answer::text(&state, StatusCode::NOT_FOUND, "404 Not Found\r\n")
}
