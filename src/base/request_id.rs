//! The id of the request that a task works on: for its log lines and the problem that it may be answered with.

use std::future::Future;

use axum::http::HeaderValue;
use tokio::task::futures::TaskLocalFuture;
use uuid::Uuid;

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
    /// An id that nobody else makes.
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

    /// `None` for an id that was made of other bytes than headers may have, which no id is.
    pub fn into_header(self) -> Option<HeaderValue> {
        match self {
            CurrentId::Made(digits) => HeaderValue::from_bytes(&digits).ok(),
            CurrentId::Taken(value) => Some(value),
        }
    }
}

/// Makes and polls the future as a part of the request with this id.
pub fn within<F: Future>(id: CurrentId, future: impl FnOnce() -> F) -> TaskLocalFuture<CurrentId, F> {
    let future = CURRENT.sync_scope(id.clone(), future);
    CURRENT.scope(id, future)
}

/// The id of the present request.
pub fn current() -> Option<String> {
    CURRENT.try_with(|id| id.text().map(str::to_owned)).ok().flatten()
}
