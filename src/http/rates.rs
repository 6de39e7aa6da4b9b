//! The rate of a credential, and the requests that it does not count.
//!
//! What only keeps or ends what a caller has always passes: a client whose acquires come too fast must not lose its locks for
//! it, or keep others waiting for them.

use super::app::App;
use super::failure::Failure;
use crate::access::Identity;
use crate::engine::Fault;
use axum::http::Method;
use axum::http::request::Parts;

/// Paths whose POST only keeps or ends something.
pub const KEEP_OR_END: &[&str] = &[
    "/v1/unlock",
    "/v1/renew",
    "/v1/refreshlock",
    "/v1/downgrade",
    "/unlock",
    "/ldlm.LDLM/Unlock",
    "/ldlm.LDLM/Renew",
    "/ldlm.LDLM/RefreshLock",
    "/raftlock.RaftLock/Release",
    "/raftlock.RaftLock/Renew",
    "/raftlock.RaftLock/CancelWait",
    "/lockapi.Locking/Unlock",
    "/api.Api/ReleaseLock",
];

/// Whether a request only keeps or ends what its caller has. In every dialect a DELETE ends something.
pub fn keeps_or_ends(method: &Method, path: &str) -> bool {
    let is_of_terraform = || path.starts_with("/terraform/") && path.ends_with("/unlock");
    match *method {
        Method::DELETE => true,
        Method::POST => KEEP_OR_END.contains(&path) || is_of_terraform(),
        _ => method.as_str() == "UNLOCK",
    }
}

/// Counts a request over HTTP.
pub fn admit(app: &App, identity: &Identity, head: &Parts) -> Result<(), Failure> {
    if !app.rates.count_credentials() || keeps_or_ends(&head.method, head.uri.path()) {
        return Ok(());
    }
    admit_caller(app, identity)
}

/// Counts a request that may be refused, of a protocol with a room of its own for it.
pub fn admit_caller(app: &App, identity: &Identity) -> Result<(), Failure> {
    app.rates.admit(identity).map_err(|refused| Failure { field: None, ..Failure::of(Fault::TooFast(refused)) })
}
