//! The session cookie `ldlm-session`, read from requests and written into answers.
//!
//! tower-cookies' layer takes 0.9 µs for one cookie in and out, 4 % of the processor time of a `POST /v1/lock`, so the
//! cookie is read and written here.

use super::header_fields;
use super::key;
use crate::domain::SessionId;
use axum::http::{HeaderMap, HeaderValue, header};
use std::sync::LazyLock;
use tower_cookies::Cookie;
use tower_cookies::cookie::SameSite;

/// The name that LDLM's clients know.
pub const NAME: &str = "ldlm-session";

/// The session cookie of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestCookie {
    Nothing,
    /// The cookie of a deleted session: its name and no value.
    Empty,
    /// A value that is no session id.
    Unreadable,
    Session(SessionId),
}

/// The first session cookie among a request's headers.
pub fn request_cookie(headers: &HeaderMap) -> RequestCookie {
    for line in header_fields::values(headers, header::COOKIE) {
        let line = line.as_bytes();
        // Clients of sessions carry nothing else.
        if let Some(value) = session_in(line).filter(|value| !value.contains(&b';')) {
            return read(value.trim_ascii_end());
        }
        if let Some(value) = line.split(|byte| *byte == b';').find_map(session_in) {
            return read(value.trim_ascii_end());
        }
    }
    RequestCookie::Nothing
}

fn session_in(pair: &[u8]) -> Option<&[u8]> {
    pair.trim_ascii_start().strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")
}

fn read(value: &[u8]) -> RequestCookie {
    let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    if bare.is_empty() {
        return RequestCookie::Empty;
    }
    key::session_from_hex(bare).map_or(RequestCookie::Unreadable, RequestCookie::Session)
}

/// What follows the value, without and with TLS.
static ATTRIBUTES: LazyLock<[String; 2]> = LazyLock::new(|| [false, true].map(attributes));

fn attributes(is_tls: bool) -> String {
    let cookie = Cookie::build((NAME, "")).path("/").http_only(true).same_site(SameSite::Lax);
    let text = if is_tls { cookie.secure(true).to_string() } else { cookie.to_string() };
    text.split_at(NAME.len() + 1).1.to_owned()
}

/// The cookie of a session. It has no end of its own: a jar that is only read, as by `curl -b`, would drop it while
/// renewals keep the session alive.
pub fn session(session: SessionId, is_tls: bool) -> HeaderValue {
    let mut id = [0; 32];
    let text = [NAME, "=", key::session_hex(session, &mut id), &ATTRIBUTES[usize::from(is_tls)]].concat();
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).expect("cookies are ASCII")
}

/// The cookie of a deleted session: empty, and expired.
pub fn cleared(is_tls: bool) -> HeaderValue {
    let text = format!("{NAME}={}; Max-Age=0", ATTRIBUTES[usize::from(is_tls)]);
    HeaderValue::try_from(text).expect("cookies are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId([0xab; 16]);

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn session_cookie_is_found_among_others() {
        let id = "abababababababababababababababab";
        assert_eq!(SESSION.to_string(), id);
        let only = ["ldlm-session=abababababababababababababababab "];
        assert_eq!(request_cookie(&headers(&only)), RequestCookie::Session(SESSION));
        assert_eq!(request_cookie(&headers(&["ldlm-session=;ldlm-session=a"])), RequestCookie::Empty);
        let lines = ["a=b; ldlm-session=abababababababababababababababab ;c=d"];
        assert_eq!(request_cookie(&headers(&lines)), RequestCookie::Session(SESSION));
        let split = ["a=b", "ldlm-session=\"abababababababababababababababab\""];
        assert_eq!(request_cookie(&headers(&split)), RequestCookie::Session(SESSION));
    }

    #[test]
    fn unreadable_cookie_differs_from_a_missing_one() {
        assert_eq!(request_cookie(&headers(&[])), RequestCookie::Nothing);
        assert_eq!(request_cookie(&headers(&["x-ldlm-session=1; ldlm-session2=1"])), RequestCookie::Nothing);
        assert_eq!(request_cookie(&headers(&["ldlm-session="])), RequestCookie::Empty);
        assert_eq!(request_cookie(&headers(&["ldlm-session=nonsense"])), RequestCookie::Unreadable);
        assert_eq!(
            request_cookie(&headers(&["ldlm-session=ABABABABABABABABABABABABABABABAB"])),
            RequestCookie::Unreadable
        );
    }

    #[test]
    fn cookie_is_secure_under_tls_and_has_no_end_of_its_own() {
        let plain = "ldlm-session=abababababababababababababababab; HttpOnly; SameSite=Lax; Path=/";
        assert_eq!(session(SESSION, false), plain);
        assert_eq!(session(SESSION, true), plain.replace("Lax;", "Lax; Secure;"));
        assert_eq!(cleared(true), "ldlm-session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0");
    }
}
