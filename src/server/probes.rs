//! What a machine asks about the process: alive, ready, metrics.

use super::{engine_metrics, oidc};
use crate::access::{AddressPool, Addresses, Rates, Role};
use crate::audit::Counts;
use crate::base::{Drain, DrainPhase};
use crate::domain::Counted;
use crate::domain::view::QuotaUse;
use crate::http::auth::identify;
use crate::http::declaration::method_not_allowed;
use crate::http::endpoint::{CREDENTIAL, Endpoint, HeaderTooLarge, errors};
use crate::http::problem::problem;
use crate::http::respond::{with_body, with_header};
use crate::http::{AppState, Code, Failure, Problem};
use crate::telemetry::{Metrics, metrics};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::borrow::Cow;
use std::sync::Arc;
use utoipa::Path as _;

pub const LIVE: &str = "/livez";
pub const READY: &str = "/readyz";

/// Both, open to everybody. Draining always means not ready; `unready` says why else.
pub fn routes(drain: Drain, unready: impl Fn() -> Option<String> + Clone + Send + Sync + 'static) -> Router {
    let ready = move || async move { ready(drain.has_reached(DrainPhase::Announced), unready()) };
    Router::new()
        .route(LIVE, get(live).fallback(method_not_allowed))
        .route(READY, get(ready).fallback(method_not_allowed))
}

/// What the OpenAPI document describes of them.
pub fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::of::<__path_live>(), Endpoint::of::<__path_ready>(), Endpoint::of::<__path_metrics>()]
}

/// Ask whether the process lives
#[utoipa::path(
    get,
    path = LIVE,
    responses(
        (status = 200, description = "It does.", body = String, content_type = "text/plain; charset=utf-8"),
        HeaderTooLarge,
    ),
    security(()),
)]
async fn live() -> &'static str {
    "alive\n"
}

/// Ask whether the service takes requests
#[utoipa::path(
    get,
    path = READY,
    responses(
        (status = 200, description = "It does.", body = String, content_type = "text/plain; charset=utf-8"),
        HeaderTooLarge,
        (status = 503, description = "It starts, stops, or has no leader; the text says which.", body = String, content_type = "text/plain; charset=utf-8"),
    ),
    security(()),
)]
fn ready(is_announced: bool, unready: Option<String>) -> (StatusCode, Cow<'static, str>) {
    match (is_announced, unready) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()),
        (false, Some(why)) => (StatusCode::SERVICE_UNAVAILABLE, Cow::from(format!("not ready: {why}\n"))),
        (false, None) => (StatusCode::OK, "ready\n".into()),
    }
}

errors!(MetricsErrors: Problem<'_>, CREDENTIAL, [Code::Forbidden]);

/// What `/metrics` shows.
#[derive(Clone)]
pub struct Exposition {
    pub app: AppState,
    pub metrics: Arc<Metrics>,
    /// What each address uses.
    pub address_usage: Arc<Addresses>,
}

impl Exposition {
    /// `/metrics`, for any credential of every name where one is configured: the numbers tell how busy the whole service is.
    pub fn route(self) -> Router {
        let show = move |request: Request| async move { metrics(&self, request).await };
        Router::new().route(&__path_metrics::path(), get(show).fallback(method_not_allowed))
    }

    /// The same for everybody who can connect: for a listener that is for nothing else.
    pub fn open_route(self) -> Router {
        let show = move || async move { self.response() };
        Router::new().route(&__path_metrics::path(), get(show).fallback(method_not_allowed))
    }

    /// Asks no other node: a scrape must not wait for one that hangs, and each is scraped itself.
    fn response(&self) -> Response {
        let Exposition { app, metrics, address_usage } = self;
        let mut read = metrics::registry();
        let failed_logins = ConstCounter::new(app.failed_logins.count());
        read.register(
            "failed_logins",
            "Requests with a password, key, identity token or client certificate that opens nothing",
            failed_logins,
        );
        let help =
            "Lines of the audit log: written, failed to be written, or left out beyond the rate of refused credentials";
        read.register("audit_lines", help, audit_lines(app.audit.counts()));
        let help = "Requests that a rate counts (quotas.rates), by what it did with them";
        read.register("rate_requests", help, rate_requests(&app.rates));
        let (used, limits) = quotas(&app.engine.local_quota_uses());
        let help = "Holds with waiters, sessions and waiters that count toward a quota (quotas.limits); of each credential, the most";
        read.register("quota_used", help, used);
        read.register("quota_limit", "How many of them the quota allows", limits);
        let refusals = Family::<[(&str, &str); 1], Counter>::default();
        for pool in AddressPool::ALL {
            refusals.get_or_create(&[("limit", pool.config_key())]).inc_by(address_usage.refused(pool));
        }
        read.register("limit_refusals", "What was refused, by the configuration key that bounds it", refusals);
        oidc::metrics::register(&mut read, app.access.tokens().map(|tokens| &**tokens));
        engine_metrics::register(&mut read, metrics, &app.engine.overview(), &app.engine.local_cluster());
        let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
        let response = with_body(StatusCode::OK, Some(content_type), metrics.encode(read));
        with_header(response, header::CACHE_CONTROL, "no-store")
    }
}

fn audit_lines(counts: Counts) -> Family<[(&'static str, &'static str); 1], Counter> {
    let lines = Family::<[(&str, &str); 1], Counter>::default();
    for (result, count) in [("written", counts.written), ("failed", counts.failed), ("left_out", counts.left_out)] {
        lines.get_or_create(&[("result", result)]).inc_by(count);
    }
    lines
}

fn rate_requests(rates: &Rates) -> Family<[(&'static str, String); 2], Counter> {
    let requests = Family::<[(&str, String); 2], Counter>::default();
    let of = |quota: &str, result: &str| [("quota", quota.to_owned()), ("result", result.to_owned())];
    // It is shown where no rate is configured too.
    drop(requests.get_or_create(&of("none", "passed")));
    for used in rates.usage() {
        requests.get_or_create(&of(&used.quota, "passed")).inc_by(used.passed);
        requests.get_or_create(&of(&used.quota, "refused")).inc_by(used.refused);
    }
    requests
}

type QuotaGauges = Family<[(&'static str, String); 2], Gauge>;

fn quotas(uses: &[QuotaUse]) -> (QuotaGauges, QuotaGauges) {
    let (used, limits) = (QuotaGauges::default(), QuotaGauges::default());
    if uses.is_empty() {
        // They are shown where no quota is configured too.
        let none = [("quota", "none".to_owned()), ("counted", Counted::Holds.key().to_owned())];
        drop((used.get_or_create(&none), limits.get_or_create(&none)));
    }
    for quota in uses {
        let labels = [("quota", quota.of.to_string()), ("counted", quota.counted.key().to_owned())];
        used.get_or_create(&labels).set(i64::try_from(quota.used).unwrap_or(i64::MAX));
        limits.get_or_create(&labels).set(i64::try_from(quota.limit).unwrap_or(i64::MAX));
    }
    (used, limits)
}

/// Read the metrics
///
/// Needs a credential where one is configured, of any role and without prefixes: the numbers are of all names.
#[utoipa::path(
    get,
    path = "/metrics",
    responses(
        (status = 200, description = "Metrics in the text format of Prometheus.", body = String, content_type = metrics::CONTENT_TYPE),
        MetricsErrors,
    ),
)]
async fn metrics(exposition: &Exposition, request: Request) -> Response {
    let (head, _) = request.into_parts();
    match identify(&exposition.app, &head).await {
        Ok(identity) if identity.sees_every_name() => exposition.response(),
        Ok(identity) => problem(&Failure::forbidden("read metrics", identity.lack_for_all(Role::ReadOnly))),
        Err(failure) => problem(&failure),
    }
}
