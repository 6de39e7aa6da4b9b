//! Builds responses, and writes JSON by hand where every request pays for it.

use super::code::Code;
use super::failure::Failure;
use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde::Serialize;
use std::time::Duration;

/// Marks an answer that is not compressed, because its length would then reveal its content.
#[derive(Clone, Copy)]
pub struct HoldsSecrets;

/// How to log in, for `WWW-Authenticate`.
pub const CHALLENGE: &str = "Basic realm=\"Restricted\"";

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub fn json(status: StatusCode, body: Vec<u8>) -> Response {
    with_body(status, Some(JSON), body)
}

/// An answer with this body; `None` leaves out the content type, as some old servers do.
pub fn with_body(status: StatusCode, content_type: Option<HeaderValue>, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}

/// The headers that go with a failure whatever its body: when to retry, how to log in.
pub fn with_failure_headers(mut response: Response, failure: &Failure) -> Response {
    if let Some(seconds) = failure.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if failure.code.wants_secret() {
        return with_header(response, header::WWW_AUTHENTICATE, CHALLENGE);
    }
    if failure.code == Code::IdentityTokenRefused {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, token_challenge(&failure.detail));
    }
    response
}

/// Why an identity token is not accepted (RFC 6750, 3), in the characters that may stand there.
fn token_challenge(detail: &str) -> HeaderValue {
    let plain = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    let description: String = detail.chars().filter(plain).collect();
    let value = format!("Bearer error=\"invalid_token\", error_description=\"{description}\"");
    HeaderValue::from_str(&value).expect("printable ASCII")
}

pub fn with_header(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// Keeps `guard` until an answer is sent whose body is made while it goes out. A body that is ready needs no guard: the
/// connection itself sees whether its bytes go out.
pub fn until_sent<G: Send + 'static>(response: Response, guard: G) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _until_sent = &guard;
            frame
        }))
    })
}

/// The JSON of a value that always serialises.
pub fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("answers are structs of strings and numbers")
}

/// Appends a JSON string, quotes included.
pub fn push_string(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("a vector takes every byte");
}

pub fn push_number(body: &mut Vec<u8>, number: u64) {
    body.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a duration in seconds, rounded down to a millisecond, so that it promises no more than there is.
pub fn push_seconds(body: &mut Vec<u8>, duration: Option<Duration>) {
    let Some(left) = duration else {
        return body.extend_from_slice(b"null");
    };
    push_number(body, left.as_secs());
    let digit = |unit: u32| b'0' + (left.subsec_millis() / unit % 10) as u8;
    body.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

/// A duration in seconds for answers that are not written by hand, rounded down to a millisecond.
pub fn seconds(duration: Duration) -> f64 {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_json() {
        let mut body = Vec::new();
        push_string(&mut body, "a\"\\\n\u{1}日<&>");
        push_number(&mut body, 7);
        push_seconds(&mut body, Some(Duration::from_micros(29_999_999)));
        push_seconds(&mut body, None);
        push_number(&mut body, 0);
        push_seconds(&mut body, Some(Duration::from_millis(1_040)));
        push_number(&mut body, u64::MAX);
        assert_eq!(
            String::from_utf8(body).expect("UTF-8"),
            "\"a\\\"\\\\\\n\\u0001日<&>\"729.999null01.04018446744073709551615"
        );
    }
}
