//! Composes the router from everything that is declared.
//!
//! `edge` surrounds every request. Each dialect checks credentials itself, because each has its own answer to a missing
//! one.

use super::pages::{self, Pages};
use crate::config::Config;
use crate::http::declaration::{Declarations, Fallback, Path};
use crate::http::problem::problem;
use crate::http::{AppState, Catalog, Code, Declaration, Failure, grpc};
use crate::telemetry::requests::{OTHER, RouteLabels};
use crate::{api, dialects};
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use std::convert::Infallible;
use std::sync::Arc;
use tower::ServiceExt as _;

/// Everything that this server speaks: the dialects, and our own API.
pub fn declarations() -> Vec<&'static Declaration> {
    dialects::ALL.into_iter().chain(api::ALL).collect()
}

/// The router of these declarations and of the pages, and the labels under which requests are counted.
pub fn compose(declarations: &Declarations, app: &AppState, config: &Config) -> (Router, RouteLabels) {
    let pages = pages::state(declarations, app, config);
    let (mut router, mut labels, mut fallbacks) = (Router::new(), RouteLabels::default(), Vec::new());
    for declaration in declarations {
        let routes = (declaration.routes)(app, config);
        let label = declaration.label;
        for Path { path, methods, is_counted } in routes.paths {
            if is_counted && label != OTHER {
                labels.add(&path, label);
            }
            router = router.route(&path, pages::or_page(&path, methods, &pages));
        }
        // Unknown methods of a service count, too.
        for service in declaration.services.iter().filter(|_| label != OTHER) {
            labels.add_prefix(format!("/{}/", service.name), label);
        }
        fallbacks.extend(routes.fallback);
    }
    let catalog = Arc::clone(&app.catalog);
    let fallbacks: Arc<[Fallback<()>]> = fallbacks.into();
    let shown = pages.clone();
    let anything_else =
        move |request: Request| anything_else(Arc::clone(&fallbacks), Arc::clone(&catalog), shown.clone(), request);
    (router.merge(pages::router(pages)).fallback(anything_else), labels)
}

async fn anything_else(
    fallbacks: Arc<[Fallback<()>]>,
    catalog: Arc<Catalog>,
    pages: Pages,
    request: Request,
) -> Response {
    if let Some(fallback) = fallbacks.iter().find(|fallback| (fallback.claims)(request.uri().path())) {
        return fallback.methods.clone().oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
    }
    let (head, _) = request.into_parts();
    if grpc::is_grpc(&head.headers) {
        return grpc::unknown(&catalog, &head);
    }
    let path = head.uri.path();
    let mut detail = format!("there is nothing at {path}");
    // The slash is probably part of a name.
    if path.strip_prefix("/v1/locks/").is_some_and(|rest| rest.contains('/')) {
        detail.push_str("; a slash in a lock's name is written %2F in a path, or ask with GET /v1/locks?name=");
    }
    let failure = Failure::new(Code::NotFound, detail);
    match pages::missing(&pages, &head, &failure).await {
        Some(page) => page,
        None => problem(&failure),
    }
}
