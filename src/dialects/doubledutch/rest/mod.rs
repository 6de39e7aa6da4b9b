//! GET_LOCK style: DoubleDutch's three endpoints, parameters in the query string, the API key as `auth`.
//!
//! Beyond it: the key in a header, a session cookie that binds the hold, `fencing_token` and `expires_in` in answers,
//! fractions of a timeout, fair queues. `/releaselock` needs no `auth` where the token fits.

mod answer;
mod holds;
pub(crate) mod schema;
mod status;

pub use holds::{get_lock, release_lock};
pub use status::status;

use crate::http::service::Shared;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

/// The paths of this dialect with a slash too many: nothing there, in its own words.
pub async fn not_found(State(service): State<Shared>) -> Response {
    answer::text(&service, StatusCode::NOT_FOUND, "404 Not Found\r\n")
}
