//! The pages for people and the documents for machines: who may see them, and the headers that they leave with.

use crate::access::Identity;
use crate::api::openapi;
use crate::dialects::doubledutch::rest as get_lock;
use crate::engine::{ClusterView, Fault};
use crate::http::Shared;
use crate::http::auth::identify_with;
use crate::http::code::Code;
use crate::http::failure::Failure;
use crate::http::peer::Peer;
use crate::http::problem::problem;
use crate::http::respond::{with_body, with_failure_headers, with_header};
use crate::status::assets::{Asset, CONTENT_SECURITY_POLICY};
use crate::status::{self, Question};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::sync::LazyLock;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The OpenAPI document, made once.
static DOCUMENT: LazyLock<String> = LazyLock::new(openapi::json);
static DOCS: LazyLock<String> = LazyLock::new(|| status::docs_page(&parsed()));
static ERRORS: LazyLock<String> = LazyLock::new(|| status::errors_page(&parsed()));

fn parsed() -> Value {
    serde_json::from_str(&DOCUMENT).expect("the document is JSON")
}

/// `/status`: the page for who asks for HTML, the JSON of the GET_LOCK style for everybody else.
pub async fn status(state: State<Shared>, request: Request) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if is_read && wants_html(request.headers()) {
        page(state, request).await
    } else {
        get_lock::status(state, request).await
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// The status page.
pub async fn page(State(service): State<Shared>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    // The JSON of `/status` takes the credential there, so a bookmark with it shows the page too.
    let auth = parameter(head.uri.query().unwrap_or_default(), "auth");
    let viewer = match identify_with(&service, &head, auth.as_deref()).await {
        Ok(viewer) => viewer,
        Err(failure) => return no_page(&failure, None),
    };
    match shown(&service, &viewer, question(&service, &head)).await {
        Ok(html) => html_page(StatusCode::OK, html),
        Err(fault) => {
            let code = Code::from(&fault);
            let cluster = service.engine.cluster().await.ok();
            no_page(&Failure::new(code, code.row().title), cluster.as_ref())
        }
    }
}

async fn shown(service: &Shared, viewer: &Identity, question: Question) -> Result<String, Fault> {
    Ok(status::page(&status::gather(&service.engine, viewer, question).await?))
}

/// Why there is no page; a browser asks for a password where one is missing, and the page tries again by itself.
fn no_page(failure: &Failure, cluster: Option<&ClusterView>) -> Response {
    let response = html_page(failure.code.status(), status::trouble_page(&failure.detail, cluster));
    with_failure_headers(response, failure)
}

fn question(service: &Shared, head: &Parts) -> Question {
    let query = head.uri.query().unwrap_or_default();
    Question {
        prefix: parameter(query, "prefix").unwrap_or_default(),
        after: parameter(query, "after"),
        origin: origin(head),
        needs_credential: !service.access.is_open(),
    }
}

/// A parameter of a page. What is no UTF-8 finds nothing, which is all that a page can say about it.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, raw) = pairs.into_iter().find(|(known, _)| *known == name)?;
    let spaced = raw.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// Where the caller found this server, as far as a request tells.
fn origin(head: &Parts) -> String {
    let is_tls = head.extensions.get::<Peer>().is_some_and(|peer| peer.client.https);
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

/// `/docs`
pub async fn docs() -> Response {
    html_page(StatusCode::OK, DOCS.as_str())
}

/// `/docs/errors`
pub async fn errors() -> Response {
    html_page(StatusCode::OK, ERRORS.as_str())
}

/// `/openapi.json`
pub async fn openapi_json() -> Response {
    let json = HeaderValue::from_static("application/json");
    protected(with_body(StatusCode::OK, Some(json), DOCUMENT.as_str()))
}

/// A file that the pages need.
pub fn file(asset: Asset) -> Response {
    let content_type = HeaderValue::from_static(asset.content_type);
    let response = with_body(StatusCode::OK, Some(content_type), asset.content);
    protected(with_header(response, header::CACHE_CONTROL, "max-age=300"))
}

/// A method that a path of ours does not have; the router adds which it has.
pub async fn method_not_allowed(method: Method) -> Response {
    problem(&Failure::new(Code::MethodNotAllowed, format!("{method} is not allowed here")))
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
    fn only_who_names_html_gets_html() {
        assert!(accepts("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(accepts("application/json, Text/HTML;q=0.1"));
        assert!(!accepts("*/*"));
        assert!(!accepts("application/json"));
        assert!(!accepts("text/html;q=0"));
        assert!(!wants_html(&HeaderMap::new()));
    }

    #[test]
    fn a_pages_parameters_are_decoded() {
        assert_eq!(parameter("prefix=a%2Fb+c&after=x", "prefix").as_deref(), Some("a/b c"));
        assert_eq!(parameter("prefix=%ff", "prefix").as_deref(), Some("\u{fffd}"));
        assert_eq!(parameter("prefix", "prefix"), None);
        assert_eq!(parameter("", "after"), None);
    }
}
