//! Logging in to the console, and out.

use super::answer::{html_page, no_page, protected, with_context};
use super::form;
use super::state::Pages;
use super::visitor::{Cookie, cookie, of_cookie, set_cookie, shows_secret, visitor};
use crate::access::LoginId;
use crate::base::clock;
use crate::http::auth::identify_secrets;
use crate::http::connection::client;
use crate::http::respond::{with_failure_headers, with_header};
use crate::http::{ClientInfo, Failure};
use crate::status::login::{self, LoginForm};
use crate::status::{Asked, Section};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use std::time::Duration;

/// A scheme that browsers have no dialogue of their own for, so that they show the page.
const CHALLENGE: &str = "Bearer realm=\"latchd\"";

/// How long a browser keeps the cookie of a login page.
const FORM_LASTS: Duration = Duration::from_secs(3_600);

/// `GET /ui/login`
pub async fn ask(State(pages): State<Pages>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    if pages.app.access.is_open() {
        return see_other(Section::Locks.path());
    }
    let next = Asked::of(head.uri.query()).text("next");
    login_page(&pages, &head, StatusCode::OK, None, own_page(&next))
}

/// `POST /ui/login`
pub async fn log_in(State(pages): State<Pages>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    match logged_in(&pages, &head, body).await {
        Ok(response) => response,
        Err((failure, next)) => refused(&pages, &head, &failure, own_page(&next)),
    }
}

async fn logged_in(pages: &Pages, head: &Parts, body: Body) -> Result<Response, (Failure, String)> {
    let whom = cookie(head, Cookie::Form).as_ref().map(of_cookie).unwrap_or_default();
    let form = form::read(pages, head, body, &whom).await.map_err(|failure| (failure, String::new()))?;
    let (secret, next) = (form.asked().text("secret"), form.asked().text("next"));
    let identity = match identify_secrets(&pages.app, &[&secret], client(head).ip).await {
        Ok(identity) => identity,
        Err(failure) => return Err((failure, next)),
    };
    let unidentified = head.extensions.get::<ClientInfo>().map(|info| &info.unidentified);
    unidentified.iter().for_each(|request| request.identified(&identity));
    // Another id than the browser had before: nobody else can know it.
    cookie(head, Cookie::Login).iter().for_each(|before| pages.logins.end(before));
    let id = pages.logins.begin(identity, clock::process_age());
    Ok(set_cookie(see_other(own_page(&next)), head, Cookie::Login, Some(&id), pages.logins.longest()))
}

/// `POST /ui/logout`
pub async fn log_out(State(pages): State<Pages>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let left = async {
        let visitor = visitor(&pages, &head, None).await?;
        form::read(&pages, &head, body, &visitor.whom()).await?;
        Ok(visitor)
    };
    match left.await {
        Ok(visitor) => {
            visitor.login.iter().for_each(|id| pages.logins.end(id));
            set_cookie(see_other(login::PATH), &head, Cookie::Login, None, Duration::ZERO)
        }
        Err(failure) => no_page(&pages, &head, &failure, None, None),
    }
}

/// What is shown to somebody who is not let in: the page that asks for a secret, where one would help.
pub fn stranger(pages: &Pages, head: &Parts, failure: &Failure) -> Response {
    // A browser's own dialogue asks again for the secret that it has sent.
    if !failure.code.wants_secret() || shows_secret(&head.headers) {
        return no_page(pages, head, failure, None, None);
    }
    let query = Asked::of(head.uri.query()).opened();
    let here = if query.is_empty() { head.uri.path().to_owned() } else { format!("{}?{query}", head.uri.path()) };
    refused(pages, head, failure, own_page(&here))
}

/// The page that asks for a secret, instead of the one that was asked for.
fn refused(pages: &Pages, head: &Parts, failure: &Failure, next: &str) -> Response {
    let response = login_page(pages, head, failure.code.status(), Some(&failure.detail), next);
    let response = with_failure_headers(response, failure);
    match failure.code.wants_secret() {
        true => with_header(response, header::WWW_AUTHENTICATE, CHALLENGE),
        false => response,
    }
}

fn login_page(pages: &Pages, head: &Parts, status: StatusCode, why: Option<&str>, next: &str) -> Response {
    // Its form is bound to this browser, so that nobody can have it log in with a secret of theirs.
    let id = cookie(head, Cookie::Form).unwrap_or_else(LoginId::fresh);
    let form = LoginForm { next, why };
    let html = with_context(pages, head, None, &of_cookie(&id), |context| login::page(&form, context));
    set_cookie(html_page(status, html), head, Cookie::Form, Some(&id), FORM_LASTS)
}

/// A page of the console; the first one instead of any other address.
pub fn own_page(next: &str) -> &str {
    let is_own = |uri: &Uri| {
        let path = uri.path();
        uri.scheme().is_none() && uri.authority().is_none() && (path == "/" || path.starts_with("/ui/"))
    };
    let uri = next.parse::<Uri>().ok().filter(is_own);
    let leads_on = |uri: &Uri| ![login::PATH, crate::status::LOGOUT].contains(&uri.path());
    if next.starts_with('/') && uri.is_some_and(|uri| leads_on(&uri)) { next } else { Section::Locks.path() }
}

/// Sends a browser on to one of our pages with a GET.
pub fn see_other(page: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let place = HeaderValue::try_from(page).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, place);
    with_header(protected(response), header::CACHE_CONTROL, "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_console_come_next() {
        for own in ["/", "/?prefix=a%2F", "/ui/lock?name=%C3%A9", "/ui/act/take?name=x"] {
            assert_eq!(own_page(own), own);
        }
        for other in [
            "",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "https://evil.example/ui/",
            "javascript:alert(1)",
            "/ui/login?next=/ui/login",
            "/ui/logout",
            "/v1/locks",
            "ui/lock",
            "/ui/\r\nSet-Cookie: a=b",
            " /ui/",
        ] {
            assert_eq!(own_page(other), "/", "{other}");
        }
    }
}
