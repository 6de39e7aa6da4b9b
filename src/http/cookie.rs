//! The session cookie `ldlm-session`, read from requests and written into answers.
//!
//! tower-cookies' layer takes 0.9 µs for one cookie in and out, 4 % of the processor time of a `POST /v1/lock`, so the
//! cookie is read and written here.

use super::header_fields;
use super::key;
use crate::domain::SessionId;
use axum::http::{HeaderMap, HeaderValue, header};
use std::cell::RefCell;
use std::time::Duration;
use tower_cookies::Cookie;
use tower_cookies::cookie::{SameSite, time};

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

/// The attributes after the session id, the same for all sessions of one idle time.
struct Attributes {
    max_age_seconds: u64,
    text: String,
}

thread_local! {
    /// Those made last, without and with TLS. Per thread: every answer reads them, and a lock would be contended.
    static KEPT: RefCell<[Option<Attributes>; 2]> = const { RefCell::new([const { None }; 2]) };
}

/// The cookie of a living session. Its end is a length of time, which does not depend on clocks, and rounded up, so that
/// the client does not drop it while the session lives.
pub fn session(session: SessionId, idle: Duration, is_tls: bool) -> HeaderValue {
    let max_age_seconds = idle.as_secs().saturating_add(u64::from(idle.subsec_nanos() > 0));
    let mut id = [0; 32];
    let id = key::session_hex(session, &mut id);
    let text = KEPT.with_borrow_mut(|kept| {
        let kept = &mut kept[usize::from(is_tls)];
        if kept.as_ref().is_none_or(|kept| kept.max_age_seconds != max_age_seconds) {
            *kept = None;
        }
        let attributes =
            kept.get_or_insert_with(|| Attributes { max_age_seconds, text: attributes(is_tls, max_age_seconds) });
        let mut text = Vec::with_capacity(NAME.len() + 1 + id.len() + attributes.text.len());
        [NAME, "=", id, &attributes.text].iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
        text
    });
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).expect("cookies are ASCII")
}

/// The cookie of a deleted session: empty, and expired.
pub fn cleared(is_tls: bool) -> HeaderValue {
    let text = format!("{NAME}={}", attributes(is_tls, 0));
    HeaderValue::try_from(text).expect("cookies are ASCII")
}

fn attributes(is_tls: bool, max_age_seconds: u64) -> String {
    let mut cookie = Cookie::build((NAME, "")).path("/").http_only(true).same_site(SameSite::Lax).build();
    if is_tls {
        cookie.set_secure(true);
    }
    cookie.set_max_age(time::Duration::seconds(i64::try_from(max_age_seconds).unwrap_or(i64::MAX)));
    let text = cookie.to_string();
    text.split_at(NAME.len() + 1).1.to_owned()
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
    fn cookie_is_secure_under_tls_and_expires_with_its_session() {
        let living = |ms, is_tls| session(SESSION, Duration::from_millis(ms), is_tls);
        let plain = "ldlm-session=abababababababababababababababab; HttpOnly; SameSite=Lax; Path=/; Max-Age=600";
        assert_eq!(living(600_000, false), plain);
        assert_eq!(living(600_000, true), plain.replace("Lax;", "Lax; Secure;"));
        assert_eq!(living(1_001, false), plain.replace("=600", "=2"));
        assert_eq!(living(900, false), plain.replace("=600", "=1"));
        assert_eq!(cleared(true), "ldlm-session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0");
    }
}
