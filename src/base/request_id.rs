//! The id of the request that a task works on: for its log lines and the problem that it may be answered with.

use std::future::Future;

use axum::http::HeaderValue;
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CURRENT: HeaderValue;
}

/// Polls `future` as a part of the request with this id.
pub fn within<F: Future>(id: HeaderValue, future: impl FnOnce() -> F) -> TaskLocalFuture<HeaderValue, F> {
    let future = CURRENT.sync_scope(id.clone(), future);
    CURRENT.scope(id, future)
}

/// The id of the present request. Letters, digits and a few signs: it needs no escapes in JSON.
pub fn current() -> Option<String> {
    CURRENT.try_with(|id| id.to_str().ok().map(str::to_owned)).ok().flatten()
}
