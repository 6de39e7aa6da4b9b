//! How a page is answered: with whom it is written for, with the headers that protect it, or with why there is none.

use super::state::Pages;
use super::visitor::Visitor;
use crate::engine::ClusterView;
use crate::http::frozen::moment_after;
use crate::http::respond::{with_body, with_failure_headers, with_header};
use crate::http::{ClientInfo, Code, Failure};
use crate::status::assets::CONTENT_SECURITY_POLICY;
use crate::status::trouble::Trouble;
use crate::status::{Asked, Context, trouble};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Writes a page whose forms are made for `whom`.
pub fn with_context(
    pages: &Pages,
    head: &Parts,
    visitor: Option<&Visitor>,
    whom: &[u8],
    page: impl FnOnce(&Context<'_>) -> String,
) -> String {
    let asked = Asked::of(head.uri.query());
    let (note, is_logged_in) = (asked.given("note"), visitor.is_some_and(|visitor| visitor.login.is_some()));
    page(&Context {
        viewer: visitor.map(|visitor| &visitor.identity),
        titles: &|dialect| pages.app.catalog.title(dialect),
        moment_after,
        origin: origin(head),
        needs_credential: !pages.app.access.is_open(),
        is_logged_in,
        // A secret in the address stays where it is: there is no login then.
        refresh_query: is_logged_in.then(|| asked.refreshed()),
        form_token: pages.logins.form_token(whom),
        // Anybody can write an address, so only what was signed here is shown.
        note: note.and_then(|note| pages.logins.verified(&note).map(str::to_owned)),
    })
}

/// The page for a failure: it says which right is missing, and looks again where the failure may pass.
pub fn no_page(
    pages: &Pages,
    head: &Parts,
    failure: &Failure,
    visitor: Option<&Visitor>,
    cluster: Option<&ClusterView>,
) -> Response {
    let is_read = head.method.is_safe();
    let trouble = Trouble {
        title: failure.title(),
        why: &failure.detail,
        may_pass: is_read && (failure.code.row().retryable || failure.code == Code::CredentialMissing),
        cluster,
    };
    let whom = visitor.map(Visitor::whom).unwrap_or_default();
    let html = with_context(pages, head, visitor, &whom, |context| trouble::page(&trouble, context));
    with_failure_headers(html_page(failure.code.status(), html), failure)
}

/// The origin under which the client reached this server, as far as the request shows.
fn origin(head: &Parts) -> String {
    let is_tls = head.extensions.get::<ClientInfo>().is_some_and(|info| info.client.https);
    let scheme = if is_tls { "https" } else { "http" };
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| head.uri.authority().map(|authority| authority.as_str()));
    format!("{scheme}://{}", host.unwrap_or("127.0.0.1"))
}

pub fn html_page(status: StatusCode, html: impl Into<Body>) -> Response {
    let response = with_header(with_body(status, Some(HTML), html), header::CACHE_CONTROL, "no-store");
    protected(response)
}

/// What keeps a browser from loading or believing anything else.
pub fn protected(response: Response) -> Response {
    let response = with_header(response, header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    // Not less: without it browsers hide the origin of our own forms.
    with_header(response, header::REFERRER_POLICY, "same-origin")
}
