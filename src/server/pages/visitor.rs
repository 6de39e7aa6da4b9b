//! Who visits the console: with a credential in the headers as programs have it, or logged in, with a cookie that is good for
//! these pages alone.

use super::state::Pages;
use crate::access::{Identity, LoginId};
use crate::base::clock;
use crate::http::auth::identify_with;
use crate::http::connection::client;
use crate::http::{ClientInfo, Code, Failure, header_fields, rates};
use crate::status::{Asked, STREAM};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use std::time::Duration;

/// What a cookie is for. A login page must not replace the login of a browser that came by a link of another site, and so
/// sent no cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cookie {
    Login,
    /// Binds the form of the login page to a browser.
    Form,
}

impl Cookie {
    /// Over TLS a browser keeps the cookie by its name from any other host, and from plain HTTP. Over plain HTTP browsers take
    /// no `Secure` cookie from most hosts.
    fn name(self, head: &Parts) -> &'static str {
        match (self, client(head).https) {
            (Cookie::Login, true) => "__Host-latchd",
            (Cookie::Login, false) => "latchd-console",
            (Cookie::Form, true) => "__Host-latchd-form",
            (Cookie::Form, false) => "latchd-console-form",
        }
    }
}

/// The script sends it where nobody opened the page: reading it anew is no use of the login.
const REFRESH: HeaderName = HeaderName::from_static("x-latchd-refresh");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who asks for a page.
pub struct Visitor {
    pub identity: Identity,
    /// The login, where there is one.
    pub login: Option<LoginId>,
}

impl Visitor {
    /// Whom the forms of a page are made for.
    pub fn whom(&self) -> Vec<u8> {
        match &self.login {
            Some(login) => of_cookie(login),
            None => [b"caller".as_slice(), &self.identity.credential.to_be_bytes()].concat(),
        }
    }
}

/// The same for a visitor who is about to log in.
pub fn of_cookie(id: &LoginId) -> Vec<u8> {
    [b"cookie".as_slice(), id.as_bytes()].concat()
}

/// The visitor; `auth` is a secret in the address. A secret that is shown counts before a cookie.
pub async fn visitor(pages: &Pages, head: &Parts, auth: Option<&str>) -> Result<Visitor, Failure> {
    let app = &pages.app;
    if app.access.is_open() || auth.is_some() || shows_secret(&head.headers) {
        return Ok(Visitor { identity: identify_with(app, head, auth).await?, login: None });
    }
    let is_refresh = head.headers.contains_key(REFRESH) || Asked::of(head.uri.query()).is_refresh();
    let is_use = !is_refresh && head.uri.path() != STREAM;
    let id = cookie(head, Cookie::Login);
    let known = id.and_then(|id| pages.logins.find(&id, clock::process_age(), is_use));
    match known {
        Some(identity) => {
            let unidentified = head.extensions.get::<ClientInfo>().map(|info| &info.unidentified);
            unidentified.iter().for_each(|request| request.identified(&identity));
            rates::admit(app, &identity, head)?;
            Ok(Visitor { identity, login: id })
        }
        None => Err(Failure::new(Code::CredentialMissing, "log in with a password or an API key")),
    }
}

/// A credential is in the headers, as programs and a browser's own dialogue have it.
pub fn shows_secret(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || headers.contains_key(X_API_KEY)
}

/// What a cookie of this browser names.
pub fn cookie(head: &Parts, cookie: Cookie) -> Option<LoginId> {
    let name = cookie.name(head);
    let lines = header_fields::values(&head.headers, header::COOKIE).filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).and_then(|(_, value)| LoginId::parse(value))
}

/// Gives the browser a cookie; with no time left it drops it.
pub fn set_cookie(
    mut response: Response,
    head: &Parts,
    cookie: Cookie,
    id: Option<&LoginId>,
    lasts: Duration,
) -> Response {
    let (name, value) = (cookie.name(head), id.map(LoginId::as_text).unwrap_or_default());
    let secure = if client(head).https { "; Secure" } else { "" };
    let age = lasts.as_secs();
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}; Max-Age={age}");
    let value = HeaderValue::try_from(text).expect("a cookie of hexadecimal digits");
    response.headers_mut().append(header::SET_COOKIE, value);
    response
}
