//! `raftlock.RaftLock`: all ten calls as their proto means them, without the original's defects.
//!
//! Holders are client ids. The fencing token is `version`. Refusals are in `error` with status OK, because RaftLock's Go
//! client looks for them only there. Any node answers, without a redirect.

mod answer;
mod check;
mod holds;
mod list;
mod queue;
mod state;
mod status;
mod wildcard;

use super::proto;
use crate::config::Config;
use crate::domain::Dialect;
use crate::http::catalog::{GrpcService, HoldDialect};
use crate::http::grpc::unary::unary;
use crate::http::routes::Routes;
use crate::http::{AppState, Declaration};
use axum::extract::{Request, State};
use axum::routing::any;
use state::RaftLock;
use std::sync::Arc;

pub static DECLARATION: Declaration = Declaration {
    label: "raftlock",
    dialect: Some(HoldDialect { id: Dialect::RaftLockGrpc, title: "RaftLock", write_key: |key, _| key.to_string() }),
    services: &[GrpcService { name: "raftlock.RaftLock", descriptors: proto::DESCRIPTORS }],
    routes,
    documentation: None,
};

macro_rules! method {
    ($procedure:path) => {
        any(async |State(state): State<Arc<RaftLock>>, request: Request| {
            unary(&state.app, &*state, request, $procedure).await
        })
    };
}

fn routes(app: &AppState, _: &Config) -> Routes {
    Routes::new()
        .route("/raftlock.RaftLock/Acquire", method!(holds::acquire))
        .route("/raftlock.RaftLock/Release", method!(holds::release))
        .route("/raftlock.RaftLock/Renew", method!(holds::renew))
        .route("/raftlock.RaftLock/GetLockInfo", method!(list::show_lock))
        .route("/raftlock.RaftLock/GetLocks", method!(list::list_locks))
        .route("/raftlock.RaftLock/EnqueueWaiter", method!(queue::enqueue))
        .route("/raftlock.RaftLock/CancelWait", method!(queue::cancel))
        .route("/raftlock.RaftLock/GetBackoffAdvice", method!(queue::backoff))
        .route("/raftlock.RaftLock/GetStatus", method!(status::status))
        .route("/raftlock.RaftLock/Health", method!(status::health))
        .with_state(Arc::new(RaftLock::new(app)))
}
