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
use crate::http::grpc::unary::unary_route;
use crate::http::key;
use crate::http::routes::Routes;
use crate::http::{AppState, Declaration};
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
        .route("/ldlm.LDLM/Lock", unary_route!(Arc<ConnectionSessions>, holds::lock))
        .route("/ldlm.LDLM/TryLock", unary_route!(Arc<ConnectionSessions>, holds::try_lock))
        .route("/ldlm.LDLM/Unlock", unary_route!(Arc<ConnectionSessions>, holds::unlock))
        .route("/ldlm.LDLM/Renew", unary_route!(Arc<ConnectionSessions>, holds::renew))
        // The older name of Renew.
        .route("/ldlm.LDLM/RefreshLock", unary_route!(Arc<ConnectionSessions>, holds::renew))
        .with_state(Arc::new(ConnectionSessions::new(app, &config.sessions)))
}
