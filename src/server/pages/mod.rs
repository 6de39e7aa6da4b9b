//! The pages for people and the documents for machines: their routes, rights and headers.

mod documents;

use super::probes;
use crate::access::Identity;
use crate::config::Config;
use crate::engine::{ClusterView, Fault};
use crate::http::auth::identify_with;
use crate::http::compression::compressed;
use crate::http::declaration::{Declarations, Path, get};
use crate::http::endpoint::{Chapter, Documentation, HeaderTooLarge};
use crate::http::respond::{JSON, with_body, with_failure_headers, with_header};
use crate::http::{AppState, ClientInfo, Code, Failure, Routes};
use crate::status::assets::{self, Asset, CONTENT_SECURITY_POLICY};
use crate::status::{self, PageQuery};
use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use documents::Documents;
use percent_encoding::percent_decode_str;
use std::sync::Arc;
use utoipa::ToSchema;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The path that shows the status page to requests for HTML.
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

#[derive(Clone)]
struct Pages {
    app: AppState,
    documents: Arc<Documents>,
}

impl FromRef<Pages> for AppState {
    fn from_ref(pages: &Pages) -> AppState {
        AppState::clone(&pages.app)
    }
}

pub fn router(declarations: &Declarations, app: &AppState, config: &Config) -> Router {
    let state = Pages { app: AppState::clone(app), documents: Arc::new(documents(declarations, config)) };
    let paths = routes().with_state(state).paths.into_iter();
    paths.fold(Router::new(), |router, Path { path, methods, .. }| router.route(&path, methods))
}

/// The OpenAPI document of these declarations and of the pages, with this configuration.
pub fn openapi_json(declarations: &Declarations, config: &Config) -> String {
    documents(declarations, config).made_json()
}

fn documents(declarations: &Declarations, config: &Config) -> Documents {
    let declared = declarations.iter().filter_map(|declaration| declaration.documentation);
    Documents::new(declared.chain([&DOCUMENTATION]).collect(), config.locks.name_bytes_max)
}

fn routes() -> Routes<Pages> {
    Routes::new()
        .described::<__path_openapi>(compressed(get(openapi)))
        .described::<__path_docs>(compressed(get(docs)))
        .described::<__path_errors>(compressed(get(errors)))
        .described::<__path_page>(compressed(get(page)))
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

/// The route at `/status` with the page for who asks for HTML; any other route as it is.
pub fn or_page(path: &str, methods: MethodRouter, app: &AppState) -> MethodRouter {
    if path == STATUS { methods.layer(from_fn_with_state(AppState::clone(app), page_or_next)) } else { methods }
}

async fn page_or_next(app: State<AppState>, request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response =
        if is_read && wants_html(request.headers()) { page(app, request).await } else { next.run(request).await };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// Look at the locks
///
/// The status page, as `/status` shows it to browsers.
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
async fn page(State(app): State<AppState>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    // The JSON of `/status` takes the credential there, so a bookmark with it shows the page too.
    let auth = parameter(head.uri.query().unwrap_or_default(), "auth");
    let viewer = match identify_with(&app, &head, auth.as_deref()).await {
        Ok(viewer) => viewer,
        Err(failure) => return no_page(&failure, None),
    };
    match shown(&app, &viewer, query(&app, &head)).await {
        Ok(html) => html_page(StatusCode::OK, html),
        Err(fault) => {
            let code = Code::from(&fault);
            let cluster = app.engine.cluster().await;
            no_page(&code.into(), Some(&cluster))
        }
    }
}

async fn shown(app: &AppState, viewer: &Identity, query: PageQuery) -> Result<String, Fault> {
    let view = status::gather(&app.engine, viewer, query).await?;
    Ok(status::page(&view, &|dialect| app.catalog.title(dialect)))
}

/// The page for a failure. A browser asks for a password if one is missing, and the page reloads by itself.
fn no_page(failure: &Failure, cluster: Option<&ClusterView>) -> Response {
    let response = html_page(failure.code.status(), status::trouble_page(&failure.detail, cluster));
    with_failure_headers(response, failure)
}

fn query(app: &AppState, head: &Parts) -> PageQuery {
    let query = head.uri.query().unwrap_or_default();
    PageQuery {
        prefix: parameter(query, "prefix").unwrap_or_default(),
        after: parameter(query, "after"),
        origin: origin(head),
        needs_credential: !app.access.is_open(),
    }
}

/// A parameter of a page. Invalid UTF-8 is replaced, and then matches nothing.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, raw) = pairs.into_iter().find(|(known, _)| *known == name)?;
    let spaced = raw.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// The origin under which the client reached this server, as far as the request shows.
fn origin(head: &Parts) -> String {
    let is_tls = head.extensions.get::<ClientInfo>().is_some_and(|info| info.client.https);
    let scheme = if is_tls { "https" } else { "http" };
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| head.uri.authority().map(|authority| authority.as_str()));
    format!("{scheme}://{}", host.unwrap_or("127.0.0.1"))
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

fn html_page(status: StatusCode, html: impl Into<axum::body::Body>) -> Response {
    let response = with_header(with_body(status, Some(HTML), html), header::CACHE_CONTROL, "no-store");
    protected(response)
}

/// What keeps a browser from loading or believing anything else.
fn protected(response: Response) -> Response {
    let response = with_header(response, header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    with_header(response, header::REFERRER_POLICY, "no-referrer")
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

    #[test]
    fn page_parameters_are_decoded() {
        assert_eq!(parameter("prefix=a%2Fb+c&after=x", "prefix").as_deref(), Some("a/b c"));
        assert_eq!(parameter("prefix=%ff", "prefix").as_deref(), Some("\u{fffd}"));
        assert_eq!(parameter("prefix", "prefix"), None);
        assert_eq!(parameter("", "after"), None);
    }
}
