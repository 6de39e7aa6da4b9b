//! `raftlock.RaftLock`: all ten calls as their proto means them, without the original's defects.
//!
//! Holders are client ids. The fencing token is `version`. What the state of a lock forbids is told in `error` with
//! status OK, because only there does RaftLock's Go client look for it. Any node answers; nobody is redirected.

mod answer;
mod check;
mod holds;
mod list;
pub mod pace;
mod queue;
mod state;
mod wait;
mod wildcard;

use crate::http::grpc::unary::unary;
use crate::http::service::Shared;
use axum::extract::{Request, State};
use axum::response::Response;

/// Takes a lock, or waits for it.
pub async fn acquire(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, holds::acquire).await
}

/// Gives a lock back.
pub async fn release(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, holds::release).await
}

/// Starts the time to live anew.
pub async fn renew(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, holds::renew).await
}

/// Who holds a lock, and who waits for it.
pub async fn get_lock_info(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, list::one).await
}

/// The locks that a filter describes.
pub async fn get_locks(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, list::page).await
}

/// Waits without a request.
pub async fn enqueue_waiter(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, queue::enqueue).await
}

/// Ends such a wait.
pub async fn cancel_wait(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, queue::cancel).await
}

/// How long to wait between attempts.
pub async fn get_backoff_advice(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, queue::backoff).await
}

/// The node, its log and its locks in numbers.
pub async fn get_status(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, state::status).await
}

/// Whether this node would serve a request now.
pub async fn health(State(service): State<Shared>, request: Request) -> Response {
    unary(&service, request, state::health).await
}
