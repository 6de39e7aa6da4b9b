//! The pages for people and the documents for machines: their routes, rights and headers.

mod acts;
mod answer;
mod console;
mod documents;
mod form;
mod freezes;
mod login;
mod state;
mod visitor;

use super::probes;
use crate::access::{LoginTimes, Logins};
use crate::config::Config;
use crate::http::compression::compressed;
use crate::http::declaration::{Declarations, Path, get, post};
use crate::http::endpoint::{Chapter, Documentation, HeaderTooLarge};
use crate::http::respond::{JSON, with_body, with_header};
use crate::http::{AppState, Failure, Routes};
use crate::status::acts::Kind;
use crate::status::assets::{self, Asset};
use crate::status::{self, LOGOUT, STREAM, Section, lock, session};
use answer::{html_page, no_page, protected};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use console::{Shown, show, stream};
use documents::Documents;
pub use state::Pages;
use std::sync::Arc;
use utoipa::ToSchema;
use visitor::visitor;

/// The path that shows the page of locks to requests for HTML.
const STATUS: &str = "/status";

const DOCUMENTATION: Documentation = Documentation {
    chapter: Chapter::Service,
    tag: "The service",
    about: "Probes, metrics, documents and the page for people.",
    endpoints: || {
        let mut endpoints = probes::endpoints();
        endpoints.extend(routes().into_endpoints());
        endpoints
    },
    schemas: |_| (),
};

/// The state of the pages of a server with these declarations.
pub fn state(declarations: &Declarations, app: &AppState, config: &Config) -> Pages {
    let times = LoginTimes { idle: config.console.idle_timeout, longest: config.console.login_max };
    Pages {
        app: AppState::clone(app),
        documents: Arc::new(documents(declarations, config)),
        events: config.events,
        logins: Arc::new(Logins::new(times)),
    }
}

pub fn router(pages: Pages) -> Router {
    let paths = routes().with_state(pages).paths.into_iter();
    paths.fold(Router::new(), |router, Path { path, methods, .. }| router.route(&path, methods))
}

/// The OpenAPI document of these declarations and of the pages, with this configuration.
pub fn openapi_json(declarations: &Declarations, config: &Config) -> String {
    documents(declarations, config).made_json()
}

fn documents(declarations: &Declarations, config: &Config) -> Documents {
    let declared = declarations.iter().filter_map(|declaration| declaration.documentation);
    let services = declarations.iter().flat_map(|declaration| declaration.services);
    let services = services.map(|service| (service.name, service.descriptors)).collect();
    Documents::new(declared.chain([&DOCUMENTATION]).collect(), services, config.locks.name_bytes_max)
}

fn routes() -> Routes<Pages> {
    Kind::ALL.into_iter().fold(pages(), |routes, kind| routes.route(kind.path(), acts(kind)))
}

fn pages() -> Routes<Pages> {
    Routes::new()
        .described::<__path_openapi>(compressed(get(openapi)))
        .described::<__path_docs>(compressed(get(docs)))
        .described::<__path_errors>(compressed(get(errors)))
        .described::<__path_page>(compressed(get(page)))
        .route(lock::PATH, shows(Shown::Lock))
        .route(session::PATH, shows(Shown::Session))
        .route(Section::Sessions.path(), shows(Shown::Sessions))
        .route(Section::Events.path(), shows(Shown::Events))
        .route(Section::Elections.path(), shows(Shown::Elections))
        .route(Section::Contention.path(), shows(Shown::Contention))
        .route(Section::Freezes.path(), shows(Shown::Freezes))
        .route(Section::Cluster.path(), shows(Shown::Cluster))
        .route(Section::Rights.path(), shows(Shown::Rights))
        .route(STREAM, get(stream))
        .route(status::login::PATH, get(login::ask).post(login::log_in))
        .route(LOGOUT, post(login::log_out))
        .route(assets::STYLE.path, compressed(get(async || file(assets::STYLE))))
        .route(assets::SCRIPT.path, compressed(get(async || file(assets::SCRIPT))))
        .route(assets::ICON.path, compressed(get(async || file(assets::ICON))))
}

/// An OpenAPI 3.1 document.
#[derive(ToSchema)]
struct Document {}

/// Read this document
#[utoipa::path(
    get,
    path = "/openapi.json",
    responses(
        (status = 200, description = "This document.", body = Document),
        HeaderTooLarge,
    ),
    security(()),
)]
async fn openapi(State(pages): State<Pages>) -> Response {
    json_document(pages.documents.json())
}

/// Read this document as a page
#[utoipa::path(
    get,
    path = "/docs",
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html; charset=utf-8"),
        HeaderTooLarge,
    ),
    security(()),
)]
async fn docs(State(pages): State<Pages>) -> Response {
    html_page(StatusCode::OK, pages.documents.api_page())
}

/// Read about every error
///
/// The `type` of a problem document points here.
#[utoipa::path(
    get,
    path = "/docs/errors",
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html; charset=utf-8"),
        HeaderTooLarge,
    ),
    security(()),
)]
async fn errors(State(pages): State<Pages>) -> Response {
    html_page(StatusCode::OK, pages.documents.errors_page())
}

/// The route at `/status` with the page of locks for who asks for HTML; any other route as it is.
pub fn or_page(path: &str, methods: MethodRouter, pages: &Pages) -> MethodRouter {
    if path == STATUS { methods.layer(from_fn_with_state(Pages::clone(pages), page_or_next)) } else { methods }
}

async fn page_or_next(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let wants_page = is_read && wants_html(request.headers());
    let mut response = if wants_page { show(Shown::Locks, pages, request).await } else { next.run(request).await };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// The page for an address where there is nothing, for who asks for HTML.
pub async fn missing(pages: &Pages, head: &Parts, failure: &Failure) -> Option<Response> {
    if !wants_html(&head.headers) {
        return None;
    }
    let visitor = visitor(pages, head, None).await.ok();
    Some(no_page(pages, head, failure, visitor.as_ref(), None))
}

/// Look at the locks
///
/// The console's first page, as `/status` shows it to browsers. The other pages are below `/ui/`.
#[utoipa::path(
    get,
    path = "/",
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html; charset=utf-8"),
        (status = 401, description = "No credential, or a wrong one.", body = String, content_type = "text/html; charset=utf-8"),
        (status = 429, description = "Too many failed attempts.", body = String, content_type = "text/html; charset=utf-8"),
        (status = 503, description = "The state cannot be read now; the page says why and tries again.", body = String, content_type = "text/html; charset=utf-8"),
    ),
)]
async fn page(State(pages): State<Pages>, request: Request) -> Response {
    show(Shown::Locks, pages, request).await
}

/// One page of the console.
fn shows(page: Shown) -> MethodRouter<Pages> {
    compressed(get(async move |State(pages): State<Pages>, request: Request| show(page, pages, request).await))
}

/// The page that asks for a confirmation, and the act.
fn acts(kind: Kind) -> MethodRouter<Pages> {
    let ask = async move |State(pages): State<Pages>, request: Request| acts::ask(kind, pages, request).await;
    let act = async move |State(pages): State<Pages>, request: Request| acts::act(kind, pages, request).await;
    get(ask).post(act)
}

/// Whether `Accept` names HTML, as browsers do; `*/*` alone is what clients of the JSON send.
fn wants_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
        let refused = parameters.split(';').any(|part| matches!(part.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        kind.trim().eq_ignore_ascii_case("text/html") && !refused
    })
}

fn json_document(text: impl Into<axum::body::Body>) -> Response {
    protected(with_body(StatusCode::OK, Some(JSON), text))
}

fn file(asset: Asset) -> Response {
    let content_type = HeaderValue::from_static(asset.content_type);
    let response = with_body(StatusCode::OK, Some(content_type), asset.content);
    protected(with_header(response, header::CACHE_CONTROL, "max-age=300"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(value: &'static str) -> bool {
        wants_html(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]))
    }

    #[test]
    fn html_needs_an_accept_header_that_names_it() {
        assert!(accepts("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(accepts("application/json, Text/HTML;q=0.1"));
        assert!(!accepts("*/*"));
        assert!(!accepts("application/json"));
        assert!(!accepts("text/html;q=0"));
        assert!(!wants_html(&HeaderMap::new()));
    }
}
