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
use crate::http::grpc::unary::unary_route;
use crate::http::{AppState, Declaration, GrpcService, HoldDialect, Routes};
use state::RaftLock;
use std::sync::Arc;

pub static DECLARATION: Declaration = Declaration {
    label: "raftlock",
    dialect: Some(HoldDialect { id: Dialect::RaftLockGrpc, title: "RaftLock", write_key: |key, _| key.to_string() }),
    services: &[GrpcService { name: "raftlock.RaftLock", descriptors: proto::DESCRIPTORS }],
    routes,
    documentation: None,
};

fn routes(app: &AppState, _: &Config) -> Routes {
    Routes::new()
        .route("/raftlock.RaftLock/Acquire", unary_route!(Arc<RaftLock>, holds::acquire))
        .route("/raftlock.RaftLock/Release", unary_route!(Arc<RaftLock>, holds::release))
        .route("/raftlock.RaftLock/Renew", unary_route!(Arc<RaftLock>, holds::renew))
        .route("/raftlock.RaftLock/GetLockInfo", unary_route!(Arc<RaftLock>, list::show_lock))
        .route("/raftlock.RaftLock/GetLocks", unary_route!(Arc<RaftLock>, list::list_locks))
        .route("/raftlock.RaftLock/EnqueueWaiter", unary_route!(Arc<RaftLock>, queue::enqueue))
        .route("/raftlock.RaftLock/CancelWait", unary_route!(Arc<RaftLock>, queue::cancel))
        .route("/raftlock.RaftLock/GetBackoffAdvice", unary_route!(Arc<RaftLock>, queue::backoff))
        .route("/raftlock.RaftLock/GetStatus", unary_route!(Arc<RaftLock>, status::status))
        .route("/raftlock.RaftLock/Health", unary_route!(Arc<RaftLock>, status::health))
        .with_state(Arc::new(RaftLock::new(app)))
}
