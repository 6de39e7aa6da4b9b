//! Every route of the service on one page.
//!
//! No layers: what surrounds every request (who asks, metrics, the net for panics) is in `edge.rs`, and each dialect
//! checks credentials itself, because each has its own answer for those who have none.

use crate::dialects::code::Code;
use crate::dialects::failure::Failure;
use crate::dialects::problem::problem;
use crate::dialects::{Shared, get_lock, lock_by_name, lock_unlock, sessions_v1};
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;

/// The routes of all dialects. `any`, because what a wrong method gets is also each dialect's own affair.
pub fn router(service: Shared) -> Router {
    Router::new()
        // Sessions v1 (LDLM)
        .route("/session", any(sessions_v1::session))
        .route("/session/", any(sessions_v1::not_found))
        .route("/v1/lock", any(sessions_v1::lock))
        .route("/v1/lock/", any(sessions_v1::not_found))
        .route("/v1/unlock", any(sessions_v1::unlock))
        .route("/v1/unlock/", any(sessions_v1::not_found))
        .route("/v1/renew", any(sessions_v1::renew))
        .route("/v1/renew/", any(sessions_v1::not_found))
        .route("/v1/refreshlock", any(sessions_v1::renew))
        .route("/v1/refreshlock/", any(sessions_v1::not_found))
        // GET_LOCK style (DoubleDutch)
        .route("/getlock", any(get_lock::get_lock))
        .route("/getlock/", any(get_lock::not_found))
        .route("/releaselock", any(get_lock::release_lock))
        .route("/releaselock/", any(get_lock::not_found))
        .route("/status", any(get_lock::status))
        .route("/status/", any(get_lock::not_found))
        // Lock/unlock JSON (RaftLock)
        .route("/lock", any(lock_unlock::lock))
        .route("/unlock", any(lock_unlock::unlock))
        // Lock by name (lockd)
        .route("/lock/", any(lock_by_name::lock_by_name))
        .route("/lock/{*name}", any(lock_by_name::lock_by_name))
        .fallback(nothing_here)
        .with_state(service)
}

async fn nothing_here(request: Request) -> Response {
    problem(&Failure::new(Code::NotFound, format!("there is nothing at {}", request.uri().path())))
}
