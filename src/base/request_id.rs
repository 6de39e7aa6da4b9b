//! The id of the request that a task works on: for its log lines and problem documents.

use std::future::Future;

use axum::http::HeaderValue;
use tokio::task::JoinHandle;
use tokio::task::futures::TaskLocalFuture;
use uuid::Uuid;

use super::request_times;

/// Letters, digits and a few signs: an id needs no escapes in JSON or in a log line.
#[derive(Clone, Debug)]
pub enum CurrentId {
    /// Hexadecimal digits.
    Made([u8; 32]),
    Taken(HeaderValue),
}

tokio::task_local! {
    static CURRENT: CurrentId;
}

impl CurrentId {
    /// A unique id.
    pub fn make() -> CurrentId {
        let mut digits = [0; 32];
        Uuid::new_v4().simple().encode_lower(&mut digits);
        CurrentId::Made(digits)
    }

    fn text(&self) -> Option<&str> {
        match self {
            CurrentId::Made(digits) => std::str::from_utf8(digits).ok(),
            CurrentId::Taken(value) => value.to_str().ok(),
        }
    }

    /// Never `None`: an id has only bytes that a header may have.
    pub fn into_header(self) -> Option<HeaderValue> {
        match self {
            CurrentId::Made(digits) => HeaderValue::from_bytes(&digits).ok(),
            CurrentId::Taken(value) => Some(value),
        }
    }
}

/// Runs `future`, and the future that it makes, as a part of the request with this id: [`current`] is known in both.
pub fn scope<F: Future>(id: CurrentId, future: impl FnOnce() -> F) -> TaskLocalFuture<CurrentId, F> {
    let future = CURRENT.sync_scope(id.clone(), future);
    CURRENT.scope(id, future)
}

/// Goes on in a task of its own as a part of the running request, also if whoever asked is gone.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let future = request_times::carried(future);
    match CURRENT.try_with(CurrentId::clone) {
        Ok(id) => tokio::spawn(CURRENT.scope(id, future)),
        Err(_) => tokio::spawn(future),
    }
}

/// The id of the request that the running task works on.
pub fn current() -> Option<String> {
    CURRENT.try_with(|id| id.text().map(str::to_owned)).ok().flatten()
}
