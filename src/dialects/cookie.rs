//! The session cookie `ldlm-session`: read from requests, and dressed for answers.

use super::key;
use crate::domain::SessionId;
use axum::http::{HeaderMap, HeaderValue, header};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tower_cookies::Cookie;
use tower_cookies::cookie::time::OffsetDateTime;
use tower_cookies::cookie::{Expiration, SameSite};

/// The name that LDLM's clients know.
pub const NAME: &str = "ldlm-session";

/// What a request carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carried {
    Nothing,
    /// The cookie of a deleted session: its name and no value.
    Empty,
    /// A value that is no session id.
    Unreadable,
    Session(SessionId),
}

/// The first session cookie among a request's headers.
pub fn carried(headers: &HeaderMap) -> Carried {
    for line in headers.get_all(header::COOKIE) {
        for pair in line.as_bytes().split(|byte| *byte == b';') {
            let value = pair.trim_ascii_start().strip_prefix(NAME.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            if let Some(value) = value {
                return read(value.trim_ascii_end());
            }
        }
    }
    Carried::Nothing
}

fn read(value: &[u8]) -> Carried {
    let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    if bare.is_empty() {
        return Carried::Empty;
    }
    let session = std::str::from_utf8(bare).ok().and_then(key::session_from_hex);
    session.map_or(Carried::Unreadable, Carried::Session)
}

/// Makes `Set-Cookie` values. What follows the session id is the same for a whole second and is kept that long.
#[derive(Default)]
pub struct Wardrobe {
    kept: Mutex<[Option<Attributes>; 2]>,
}

#[derive(Clone)]
struct Attributes {
    expires_unix_seconds: u64,
    text: Arc<str>,
}

impl Wardrobe {
    /// The cookie of a living session.
    pub fn session(&self, session: SessionId, now_unix_seconds: u64, idle: Duration, is_tls: bool) -> HeaderValue {
        let attributes = self.attributes(now_unix_seconds.saturating_add(idle.as_secs()), is_tls);
        let mut id = [0; 32];
        let text = [NAME, "=", key::session_hex(session, &mut id), &attributes].concat();
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).expect("cookies are ASCII")
    }

    /// What follows the value: `; HttpOnly; …`.
    fn attributes(&self, expires_unix_seconds: u64, is_tls: bool) -> Arc<str> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut kept[usize::from(is_tls)];
        if let Some(attributes) = place.as_ref().filter(|kept| kept.expires_unix_seconds == expires_unix_seconds) {
            return Arc::clone(&attributes.text);
        }
        let expires = i64::try_from(expires_unix_seconds)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .map_or(Expiration::Session, Expiration::DateTime);
        let text: Arc<str> = dressed(is_tls, expires).into();
        *place = Some(Attributes { expires_unix_seconds, text: Arc::clone(&text) });
        text
    }
}

/// The cookie that takes a session's place when it is deleted: a value of nothing, and no expiry, as LDLM sends it.
pub fn cleared(is_tls: bool) -> HeaderValue {
    let text = format!("{NAME}={}", dressed(is_tls, Expiration::Session));
    HeaderValue::try_from(text).expect("cookies are ASCII")
}

fn dressed(is_tls: bool, expires: Expiration) -> String {
    let mut cookie = Cookie::build((NAME, "")).path("/").http_only(true).same_site(SameSite::Lax).build();
    if is_tls {
        cookie.set_secure(true);
    }
    cookie.set_expires(expires);
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
    fn a_cookie_is_found_among_others() {
        let id = "abababababababababababababababab";
        assert_eq!(SESSION.to_string(), id);
        let lines = ["a=b; ldlm-session=abababababababababababababababab ;c=d"];
        assert_eq!(carried(&headers(&lines)), Carried::Session(SESSION));
        let split = ["a=b", "ldlm-session=\"abababababababababababababababab\""];
        assert_eq!(carried(&headers(&split)), Carried::Session(SESSION));
    }

    #[test]
    fn what_is_no_session_id_is_told_apart_from_no_cookie() {
        assert_eq!(carried(&headers(&[])), Carried::Nothing);
        assert_eq!(carried(&headers(&["x-ldlm-session=1; ldlm-session2=1"])), Carried::Nothing);
        assert_eq!(carried(&headers(&["ldlm-session="])), Carried::Empty);
        assert_eq!(carried(&headers(&["ldlm-session=nonsense"])), Carried::Unreadable);
        assert_eq!(carried(&headers(&["ldlm-session=ABABABABABABABABABABABABABABABAB"])), Carried::Unreadable);
    }

    #[test]
    fn the_cookie_is_dressed_for_its_wire_and_its_second() {
        let wardrobe = Wardrobe::default();
        let ten_minutes = Duration::from_secs(600);
        let at = |now, is_tls| wardrobe.session(SESSION, now, ten_minutes, is_tls);
        let plain = "ldlm-session=abababababababababababababababab; HttpOnly; SameSite=Lax; Path=/; \
                     Expires=Sat, 21 Nov 2026 01:48:39 GMT";
        assert_eq!(at(1_795_225_119, false), plain);
        assert_eq!(at(1_795_225_119, true), plain.replace("Lax;", "Lax; Secure;"));
        assert_eq!(at(1_795_225_120, false), plain.replace(":39 GMT", ":40 GMT"));
        assert_eq!(at(u64::MAX, false), plain.split("; Expires").next().expect("a cookie"));
        assert_eq!(cleared(true), "ldlm-session=; HttpOnly; SameSite=Lax; Secure; Path=/");
    }
}
