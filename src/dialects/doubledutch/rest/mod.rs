//! GET_LOCK style: DoubleDutch's three endpoints, parameters in the query string, the API key as `auth`.
//!
//! Beyond it: the key in a header, a session cookie that binds the hold, `fencing_token` and `expires_in` in answers,
//! fractions of a timeout, fair queues. `/releaselock` needs no `auth` where the token fits.

mod answer;
mod holds;
mod openapi;
mod schema;
mod state;
mod status;

use crate::config::Config;
use crate::domain::Dialect;
use crate::http::catalog::HoldDialect;
use crate::http::routes::Routes;
use crate::http::{AppState, Declaration};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::any;
use state::GetLock;

pub static DECLARATION: Declaration = Declaration {
    label: "get_lock",
    dialect: Some(HoldDialect {
        id: Dialect::DoubleDutch,
        title: "GET_LOCK style",
        write_key: |key, _| key.to_string(),
    }),
    services: &[],
    routes,
    documentation: Some(&openapi::DOCUMENTATION),
};

fn routes(app: &AppState, config: &Config) -> Routes {
    Routes::new()
        .route("/getlock", any(holds::get_lock))
        .uncounted("/getlock/", any(not_found))
        .route("/releaselock", any(holds::release_lock))
        .uncounted("/releaselock/", any(not_found))
        .route("/status", any(status::status))
        .uncounted("/status/", any(not_found))
        .with_state(GetLock::new(app, config))
}

/// The 404 of this dialect, for its paths with a slash too many.
async fn not_found(State(state): State<GetLock>) -> Response {
    answer::text(&state, StatusCode::NOT_FOUND, "404 Not Found\r\n")
}
