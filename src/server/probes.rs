//! What a machine asks about the process: alive, ready, metrics. Nobody needs a credential for these.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::drain::Drain;
use crate::telemetry::{Metrics, metrics};

/// `/livez`, `/readyz` and `/metrics`. `is_ready` is asked on every probe; draining always means not ready.
///
/// `refresh` sets the gauges that are read from elsewhere, just before they are shown.
pub fn routes(
    drain: Drain,
    metrics: Arc<Metrics>,
    is_ready: impl Fn() -> bool + Clone + Send + Sync + 'static,
    refresh: impl Fn(&Metrics) + Clone + Send + Sync + 'static,
) -> Router {
    let ready = move || async move {
        match (drain.is_draining(), is_ready()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            (false, true) => (StatusCode::OK, "ready\n"),
        }
    };
    let show = move || async move {
        refresh(&metrics);
        ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.encode()).into_response()
    };
    Router::new().route("/livez", get(|| async { "alive\n" })).route("/readyz", get(ready)).route("/metrics", get(show))
}
