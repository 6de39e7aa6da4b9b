//! Why a call has no result, and whether asking again may help.

use std::time::Duration;

use reqwest::StatusCode;

use super::printable::printable;
use super::tls_error;
use super::wire::{BlockedBy, LockError};

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0} is not an http or https URL")]
    BadUrl(String),
    #[error("{path} cannot be used as a {purpose}: {reason}")]
    BadCertificate { path: String, purpose: &'static str, reason: String },
    #[error("{url} cannot be reached: {}{}", innermost(.reason), advice(.url, .reason))]
    Unreachable { url: String, reason: reqwest::Error },
    #[error("{url} cannot be reached: no answer in time")]
    TimedOut { url: String },
    /// The server answered with another status than the call succeeds with.
    #[error("{url} answered {status}: {}", sentence(.body))]
    Refused { url: String, status: StatusCode, body: String, retry_after: Option<Duration> },
    /// The service understood and will not do it.
    #[error("{}", .0.message)]
    Rejected(LockError),
    /// The service will not wait, because the wait could not end.
    #[error("to wait would be a deadlock: {}", cycle(.0))]
    WouldDeadlock(Vec<BlockedBy>),
    /// What was asked for is newer than the service.
    #[error("{url} is an older service, which does not know `{field}`: upgrade it, or do without")]
    Older { url: String, field: &'static str },
    #[error("{url} sent an invalid response: {reason}")]
    Unintelligible { url: String, reason: serde_json::Error },
    /// An answer to something else: from another server, or through a proxy that changes requests or mixes answers.
    #[error("{url} sent a response to another request: {what}; does the URL lead to latchd?")]
    WrongResponse { url: String, what: String },
}

impl ClientError {
    /// Whether no node of the service could answer: none was reached, or those that were cannot work now.
    pub fn is_unavailable(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } => !self.is_misconfigured(),
            ClientError::TimedOut { .. } => true,
            ClientError::Refused { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether the session of this client is unknown or has ended, and with it all its holds.
    pub fn is_session_unknown(&self) -> bool {
        // A refused credential is a 401 too, and so is the page of a proxy that wants a login.
        self.says(StatusCode::UNAUTHORIZED, "error", |error| error.starts_with("session cookie "))
            || self.is(StatusCode::UNAUTHORIZED, "session-unknown")
    }

    /// Whether the session to be closed was not there.
    pub(super) fn is_session_not_found(&self) -> bool {
        self.says(StatusCode::CONFLICT, "error", |error| error == "session not found")
    }

    /// Whether a repeated request got a hold that has ended since, in the words of sessions v1.
    pub(super) fn is_request_ended(&self) -> bool {
        self.says(StatusCode::GONE, "message", |_| true) || self.is(StatusCode::GONE, "request-ended")
    }

    /// Whether a node refused with this status and such a text in this field.
    fn says(&self, expected: StatusCode, field: &str, is_such: impl FnOnce(&str) -> bool) -> bool {
        matches!(self, ClientError::Refused { status, .. } if *status == expected)
            && self.field(field).is_some_and(|text| is_such(&text))
    }

    /// A text in the JSON that a node refused with.
    pub fn field(&self, name: &str) -> Option<String> {
        let ClientError::Refused { body, .. } = self else { return None };
        let document: serde_json::Value = serde_json::from_str(body).ok()?;
        document.get(name)?.as_str().map(str::to_owned)
    }

    /// The `code` of a problem document of the service; a 404 of a proxy or of another server has none.
    pub fn code(&self) -> Option<String> {
        self.field("code").filter(|code| self.field("type") == Some(format!("/docs/errors#{code}")))
    }

    /// Whether it is a problem document of this status and code.
    pub(super) fn is(&self, expected: StatusCode, code: &str) -> bool {
        matches!(self, ClientError::Refused { status, .. } if *status == expected)
            && self.code().as_deref() == Some(code)
    }

    /// The limit that a problem document names, as other answers have it in themselves.
    pub(super) fn limit(&self) -> Option<LockError> {
        let ClientError::Refused { body, status: StatusCode::BAD_REQUEST, .. } = self else { return None };
        let document: serde_json::Value = serde_json::from_str(body).ok()?;
        let limit = document.get("limit")?.as_f64();
        Some(LockError { code: self.code()?, message: self.field("detail")?, field: self.field("field"), limit })
    }

    /// Whether the hold that was named is not there (any more).
    pub fn is_no_such_hold(&self) -> bool {
        matches!(self.code().as_deref(), Some("no-such-lock" | "wrong-key"))
    }

    /// Whether the client's own settings are at fault.
    pub fn is_misconfigured(&self) -> bool {
        match self {
            ClientError::BadUrl(_) | ClientError::BadCertificate { .. } => true,
            ClientError::Unreachable { url, reason } => tls_error::is_permanent(reason) || is_no_http(url, reason),
            ClientError::Refused { url, status, body, .. } => {
                *status == StatusCode::BAD_REQUEST && url.starts_with("http:") && wants_https(body)
            }
            _ => false,
        }
    }

    /// The same, or that the service is too old to know one of these fields.
    pub(super) fn or_older(self, mut fields: impl Iterator<Item = &'static str>) -> ClientError {
        let message = self.field("message").or_else(|| self.field("detail")).unwrap_or_default();
        let is_no_path = self.is(StatusCode::NOT_FOUND, "not-found") && message.contains("/v1/elections");
        let is_unknown =
            |field: &&str| message.contains(&unknown_field(field)) || (is_no_path && *field == "elections");
        match (fields.find(is_unknown), self) {
            (
                Some(field),
                ClientError::Refused { url, status: StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND, .. },
            ) => ClientError::Older { url, field },
            (_, other) => other,
        }
    }

    /// `None` if the call should not be retried; else the delay that the service asks for, if any.
    pub(super) fn retry_hint(&self) -> Option<Option<Duration>> {
        let asked_for = if let ClientError::Refused { retry_after, .. } = self { *retry_after } else { None };
        // Nothing but another act of an operator makes room there.
        if self.is(StatusCode::SERVICE_UNAVAILABLE, "freezes-full") {
            return None;
        }
        self.is_unavailable().then_some(asked_for)
    }

    /// Whether no connection was made.
    pub(super) fn is_connect_error(&self) -> bool {
        matches!(self, ClientError::Unreachable { reason, .. } if reason.is_connect())
    }

    /// Whether the connection was refused, rather than too slow.
    pub(super) fn is_refused_connection(&self) -> bool {
        matches!(self, ClientError::Unreachable { reason, .. } if reason.is_connect() && !reason.is_timeout())
    }

    /// Whether an attempt timed out after a connection was made.
    pub(super) fn is_timeout(&self) -> bool {
        matches!(self, ClientError::Unreachable { reason, .. } if reason.is_timeout() && !reason.is_connect())
    }
}

/// The words of a service that does not know a field.
fn unknown_field(field: &str) -> String {
    format!("the field {field:?} is not known")
}

/// Who waits for what, and who has it.
fn cycle(steps: &[BlockedBy]) -> String {
    let step = |BlockedBy { name, held_by, waited_for_by }: &BlockedBy| {
        let name = name.as_ref().map_or_else(|| "another lock".to_owned(), |name| format!("{name:?}"));
        format!("{waited_for_by} waits for {name}, which {held_by} has")
    };
    printable(&steps.iter().map(step).collect::<Vec<_>>().join("; "))
}

/// What servers answer to plain HTTP on a port of TLS: latchd and those in Go, nginx, Apache.
fn wants_https(body: &str) -> bool {
    let answers = [
        "HTTP request to an HTTPS server",
        "plain HTTP request was sent to HTTPS port",
        "speaking plain HTTP to an SSL",
    ];
    answers.iter().any(|answer| body.contains(answer))
}

/// Whether the server speaks another protocol, such as TLS.
fn is_no_http(url: &str, error: &reqwest::Error) -> bool {
    url.starts_with("http:") && innermost(error).starts_with("invalid HTTP version")
}

/// What to do about a failed connection; appended to the error.
fn advice(url: &str, error: &reqwest::Error) -> &'static str {
    if is_no_http(url, error) { "; does it listen with http, or with https?" } else { tls_error::advice(error) }
}

/// The innermost cause says most ("Connection refused"); those above only say that something failed.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    let lost = ["close_notify", "unexpected EOF", "closed before message completed"];
    if lost.iter().any(|end| text.contains(end)) { "the connection was lost".to_owned() } else { text }
}

/// The sentence in an error body of any shape; else the first 300 characters of the body.
fn sentence(body: &str) -> String {
    let document: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let sentence = document
        .as_ref()
        .and_then(|document| ["detail", "message", "error"].iter().find_map(|field| document.get(field)?.as_str()));
    let text = sentence.unwrap_or(body).trim();
    if text.is_empty() {
        return "no reason given".to_owned();
    }
    printable(&text.chars().take(300).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> ClientError {
        refused_by("https://a/session", status, body)
    }

    fn refused_by(url: &str, status: u16, body: &str) -> ClientError {
        let status = StatusCode::from_u16(status).expect("a status");
        let retry_after = Some(Duration::from_secs(2));
        ClientError::Refused { url: url.to_owned(), status, body: body.to_owned(), retry_after }
    }

    #[test]
    fn sentence_is_found_in_every_shape_of_error_body() {
        assert_eq!(
            sentence(r#"{"title":"t","detail":"The cluster has no quorum","status":503}"#),
            "The cluster has no quorum"
        );
        assert_eq!(sentence(r#"{"code":14,"message":"no quorum","details":[]}"#), "no quorum");
        assert_eq!(sentence(r#"{"error": "session not found"}"#), "session not found");
        assert_eq!(sentence("<html>\n"), "<html>");
        assert_eq!(sentence(""), "no reason given");
        assert_eq!(sentence("a\u{1b}[2J"), "a\\u{1b}[2J");
        assert_eq!(sentence(&"x".repeat(1000)).len(), 300);
    }

    #[test]
    fn only_temporary_errors_are_retried() {
        for status in [429, 502, 503, 504] {
            assert_eq!(refused(status, "").retry_hint(), Some(Some(Duration::from_secs(2))), "{status}");
        }
        for status in [400, 401, 403, 404, 409, 422, 500] {
            assert_eq!(refused(status, "").retry_hint(), None, "{status}");
        }
    }

    #[test]
    fn plain_http_to_tls_port_is_misconfigured() {
        let latchd = "Client sent an HTTP request to an HTTPS server. Use https:// with this port.";
        let nginx = "<center>The plain HTTP request was sent to HTTPS port</center>";
        assert!(refused_by("http://a/session", 400, latchd).is_misconfigured());
        assert!(refused_by("http://a/session", 400, nginx).is_misconfigured());
        assert!(!refused_by("https://a/session", 400, latchd).is_misconfigured());
        assert!(!refused_by("http://a/session", 400, "a bad name").is_misconfigured());
        assert!(!refused_by("http://a/session", 500, latchd).is_misconfigured());
    }

    #[test]
    fn foreign_answers_end_no_session_or_hold() {
        let unknown = r#"{"error": "session cookie invalid or expired. create a new session at /session"}"#;
        assert!(refused(401, unknown).is_session_unknown());
        for page in ["", "<html>Your session has expired: log in</html>", r#"{"error": "no session"}"#] {
            assert!(!refused(401, page).is_session_unknown(), "{page}");
        }
        assert!(!refused(403, unknown).is_session_unknown());
        assert!(refused(409, r#"{"error": "session not found"}"#).is_session_not_found());
        assert!(!refused(409, "conflict").is_session_not_found());
        assert!(refused(410, r#"{"code":3,"message":"it has ended","details":[]}"#).is_request_ended());
        assert!(!refused(410, "<html>gone</html>").is_request_ended());
        assert!(refused(404, r#"{"type":"/docs/errors#no-such-lock","code":"no-such-lock"}"#).is_no_such_hold());
        assert!(refused(404, r#"{"type":"/docs/errors#wrong-key","code":"wrong-key"}"#).is_no_such_hold());
        for body in [
            r#"{"type":"/docs/errors#not-found","code":"not-found"}"#,
            r#"{"type":"about:blank","code":"no-such-lock"}"#,
            r#"{"code":"no-such-lock"}"#,
            "404 page not found",
            "no-such-lock",
            "",
        ] {
            assert!(!refused(404, body).is_no_such_hold(), "{body}");
        }
    }
}
