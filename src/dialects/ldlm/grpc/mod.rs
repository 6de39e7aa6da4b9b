//! `ldlm.LDLM`: LDLM's service for the clients of all its generations, minus its defects.
//!
//! The holder of a lock is a connection. Refusals are answered with status OK and `error` set, because LDLM's clients repeat a call
//! with any other status for ever; other statuses are for retryable failures.

mod holds;
mod session;

use super::proto;
use crate::config::Config;
use crate::domain::Dialect;
use crate::http::catalog::{GrpcService, HoldDialect};
use crate::http::grpc::unary::unary;
use crate::http::key;
use crate::http::routes::Routes;
use crate::http::{AppState, Declaration};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use session::ConnectionSessions;
use std::sync::Arc;

pub static DECLARATION: Declaration = Declaration {
    label: "ldlm_grpc",
    dialect: Some(HoldDialect { id: Dialect::LdlmGrpc, title: "LDLM gRPC", write_key: |key, _| key::dashed(key) }),
    services: &[GrpcService { name: "ldlm.LDLM", descriptors: proto::DESCRIPTORS }],
    routes,
    documentation: None,
};

fn routes(app: &AppState, config: &Config) -> Routes {
    Routes::new()
        .route("/ldlm.LDLM/Lock", any(lock))
        .route("/ldlm.LDLM/TryLock", any(try_lock))
        .route("/ldlm.LDLM/Unlock", any(unlock))
        .route("/ldlm.LDLM/Renew", any(renew))
        .route("/ldlm.LDLM/RefreshLock", any(renew))
        .with_state(Arc::new(ConnectionSessions::new(app, &config.sessions)))
}

/// Takes a lock, or waits for it.
async fn lock(State(sessions): State<Arc<ConnectionSessions>>, request: Request) -> Response {
    unary(sessions.app(), &sessions, request, holds::lock).await
}

/// Takes a lock if it is free.
async fn try_lock(State(sessions): State<Arc<ConnectionSessions>>, request: Request) -> Response {
    unary(sessions.app(), &sessions, request, holds::try_lock).await
}

/// Releases a lock. The key alone is enough.
async fn unlock(State(sessions): State<Arc<ConnectionSessions>>, request: Request) -> Response {
    unary(sessions.app(), &sessions, request, holds::unlock).await
}

/// Renews a lease, under the newer method name and the older one.
async fn renew(State(sessions): State<Arc<ConnectionSessions>>, request: Request) -> Response {
    unary(sessions.app(), &sessions, request, holds::renew).await
}
