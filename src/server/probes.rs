//! What a machine asks about the process: alive, ready, metrics.

use super::addresses;
use super::drain::Drain;
use super::engine_metrics;
use crate::access::Addresses;
use crate::http::AppState;
use crate::http::auth::identify;
use crate::http::failure::Failure;
use crate::http::methods::method_not_allowed;
use crate::http::problem::problem;
use crate::http::respond::{with_body, with_header};
use crate::telemetry::Metrics;
use crate::telemetry::metrics;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `/livez` and `/readyz`, open to everybody. Draining always means not ready; `unready` says why else.
pub fn routes(drain: Drain, unready: impl Fn() -> Option<String> + Clone + Send + Sync + 'static) -> Router {
    let ready = move || async move {
        match (drain.is_draining(), unready()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()),
            (false, Some(why)) => (StatusCode::SERVICE_UNAVAILABLE, Cow::from(format!("not ready: {why}\n"))),
            (false, None) => (StatusCode::OK, "ready\n".into()),
        }
    };
    Router::new()
        .route("/livez", get(|| async { "alive\n" }).fallback(method_not_allowed))
        .route("/readyz", get(ready).fallback(method_not_allowed))
}

/// `/metrics`, for any credential of every name where one is configured: the numbers tell how busy the whole service is.
pub fn metrics_route(app: AppState, metrics: Arc<Metrics>, shares: Arc<Addresses>) -> Router {
    let show = move |request: Request| async move {
        let (head, _) = request.into_parts();
        match identify(&app, &head).await {
            Ok(identity) if identity.sees_every_name() => exposition(&app, &metrics, &shares),
            Ok(_) => problem(&Failure::forbidden("read metrics, because it is limited to some lock names", None)),
            Err(failure) => problem(&failure),
        }
    };
    Router::new().route("/metrics", get(show).fallback(method_not_allowed))
}

/// The same for everybody who can connect: for a listener that is for nothing else.
pub fn open_metrics_route(app: AppState, metrics: Arc<Metrics>, shares: Arc<Addresses>) -> Router {
    let show = move || async move { exposition(&app, &metrics, &shares) };
    Router::new().route("/metrics", get(show).fallback(method_not_allowed))
}

/// Asks no other node: a scrape must not wait for one that hangs, and each is scraped itself.
fn exposition(app: &AppState, metrics: &Metrics, shares: &Addresses) -> Response {
    let engine = &app.engine;
    // It only rises, so storing it keeps what a counter promises.
    metrics.failed_logins.inner().store(app.failed_logins.count(), Ordering::Relaxed);
    addresses::refresh(metrics, shares);
    engine_metrics::refresh(metrics, &engine.overview(), &engine.local_cluster());
    let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
    let response = with_body(StatusCode::OK, Some(content_type), metrics.encode());
    with_header(response, header::CACHE_CONTROL, "no-store")
}
