//! Why a call has no result, and whether asking again may help.

use std::time::Duration;

use reqwest::StatusCode;

use super::printable::printable;
use super::wire::LockError;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0} is not an http or https URL")]
    BadUrl(String),
    #[error("{path} cannot be used as a certificate authority: {reason}")]
    BadAuthority { path: String, reason: String },
    #[error("{path} cannot be used as a client certificate: {reason}")]
    BadIdentity { path: String, reason: String },
    #[error("{url} cannot be reached: {}{}", innermost(.reason), advice(.url, .reason))]
    Unreachable { url: String, reason: reqwest::Error },
    #[error("{url} cannot be reached: no answer in time")]
    Silent { url: String },
    /// The server answered with another status than the call succeeds with.
    #[error("{url} answered {status}: {}", said(.body))]
    Refused { url: String, status: StatusCode, body: String, retry_after: Option<Duration> },
    /// The service understood and will not do it.
    #[error("{}", .0.message)]
    Objected(LockError),
    #[error("{url} answered what is no answer of this call: {reason}")]
    Unintelligible { url: String, reason: serde_json::Error },
    /// Somebody answered, but not to what was asked: another server, or a proxy that changes requests or mixes answers.
    #[error("{url} answered something else than was asked: {what}; does the URL lead to latchd?")]
    Astray { url: String, what: String },
}

impl ClientError {
    /// Whether no node of the service could answer: none was reached, or those that were cannot work now.
    pub fn is_unavailable(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } => !self.is_misconfigured(),
            ClientError::Silent { .. } => true,
            ClientError::Refused { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether the session of this client is not known to the service or has ended, and with it all its holds.
    pub fn is_session_unknown(&self) -> bool {
        // A refused credential is a 401 too, and so is the page of a proxy that wants a login.
        let told = |body: &str| said_in(body, "error").is_some_and(|error| error.starts_with("session cookie "));
        matches!(self, ClientError::Refused { status, body, .. } if *status == StatusCode::UNAUTHORIZED && told(body))
    }

    /// Whether the session to be closed was not there.
    pub(super) fn is_session_not_found(&self) -> bool {
        let told = |body: &str| said_in(body, "error").as_deref() == Some("session not found");
        matches!(self, ClientError::Refused { status, body, .. } if *status == StatusCode::CONFLICT && told(body))
    }

    /// Whether a repeated request was given a hold that has ended since, in the words of sessions v1.
    pub(super) fn is_request_ended(&self) -> bool {
        let told = |body: &str| said_in(body, "message").is_some();
        matches!(self, ClientError::Refused { status, body, .. } if *status == StatusCode::GONE && told(body))
    }

    /// The `code` of a problem document of the service. A status alone says little: a proxy, or another server, has
    /// its own 404.
    pub fn code(&self) -> Option<String> {
        let ClientError::Refused { body, .. } = self else { return None };
        let code = said_in(body, "code")?;
        let is_ours = said_in(body, "type").is_some_and(|kind| kind == format!("/docs/errors#{code}"));
        is_ours.then_some(code)
    }

    /// Whether the hold that was named is not there (any more).
    pub fn is_no_such_hold(&self) -> bool {
        matches!(self.code().as_deref(), Some("no-such-lock" | "wrong-key"))
    }

    /// Whether the client's own settings are at fault, so that no answer can come whatever the service does.
    pub fn is_misconfigured(&self) -> bool {
        match self {
            ClientError::BadUrl(_) | ClientError::BadAuthority { .. } | ClientError::BadIdentity { .. } => true,
            ClientError::Unreachable { url, reason } => {
                super::tls_error::is_permanent(reason) || is_no_http(url, reason)
            }
            ClientError::Refused { url, status, body, .. } => {
                *status == StatusCode::BAD_REQUEST && url.starts_with("http:") && wants_https(body)
            }
            _ => false,
        }
    }

    /// The status that a node refused with.
    pub fn status(&self) -> Option<u16> {
        match self {
            ClientError::Refused { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    /// `None` when asking again is pointless; else how long the service wants to be left alone.
    pub(super) fn worth_another_try(&self) -> Option<Option<Duration>> {
        match self {
            ClientError::Refused { retry_after, .. } if self.is_unavailable() => Some(*retry_after),
            ClientError::Unreachable { .. } | ClientError::Silent { .. } if self.is_unavailable() => Some(None),
            _ => None,
        }
    }

    /// Whether not even a connection came about.
    pub(super) fn is_connect(&self) -> bool {
        matches!(self, ClientError::Unreachable { reason, .. } if reason.is_connect())
    }

    /// Whether it is certain that nobody was there who could have answered in time.
    pub(super) fn is_refused_connection(&self) -> bool {
        matches!(self, ClientError::Unreachable { reason, .. } if reason.is_connect() && !reason.is_timeout())
    }

    /// Whether an attempt ran out of its time: somebody may have been there.
    pub(super) fn is_timeout(&self) -> bool {
        matches!(self, ClientError::Unreachable { reason, .. } if reason.is_timeout() && !reason.is_connect())
    }
}

/// What servers say who are asked without TLS where they expect it: latchd and those in Go, nginx, Apache.
fn wants_https(body: &str) -> bool {
    let said = [
        "HTTP request to an HTTPS server",
        "plain HTTP request was sent to HTTPS port",
        "speaking plain HTTP to an SSL",
    ];
    said.iter().any(|said| body.contains(said))
}

/// Whether the other end speaks another protocol, such as TLS, which tells of its displeasure in its own.
fn is_no_http(url: &str, error: &reqwest::Error) -> bool {
    url.starts_with("http:") && innermost(error).starts_with("invalid HTTP version")
}

/// What to do about a connection that came to nothing, to stand behind the error's own words.
fn advice(url: &str, error: &reqwest::Error) -> &'static str {
    if is_no_http(url, error) { "; does it listen with http, or with https?" } else { super::tls_error::advice(error) }
}

/// The cause at the bottom says most ("Connection refused"); those above only say that something failed.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let said = cause.to_string();
    // The libraries explain how they noticed; what happened is that a process was killed, or a network cut.
    let is_lost =
        ["close_notify", "unexpected EOF", "closed before message completed"].iter().any(|end| said.contains(end));
    if is_lost { "the connection was lost".to_owned() } else { said }
}

/// A text of a JSON object.
fn said_in(body: &str, field: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(body).ok()?;
    document.get(field)?.as_str().map(str::to_owned)
}

/// The sentence in an error body, in whichever shape it came; else the body, within reason.
fn said(body: &str) -> String {
    let document: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let sentence = document.as_ref().and_then(|document| {
        let sentences = ["detail", "message", "error"].iter();
        sentences.filter_map(|field| document.get(field)).find_map(|value| value.as_str())
    });
    let text = sentence.unwrap_or(body).trim();
    if text.is_empty() {
        return "no reason given".to_owned();
    }
    printable(&text.chars().take(300).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_is_found_in_every_shape_of_error_body() {
        assert_eq!(
            said(r#"{"title":"t","detail":"The cluster has no quorum","status":503}"#),
            "The cluster has no quorum"
        );
        assert_eq!(said(r#"{"code":14,"message":"no quorum","details":[]}"#), "no quorum");
        assert_eq!(said(r#"{"error": "session not found"}"#), "session not found");
        assert_eq!(said("<html>\n"), "<html>");
        assert_eq!(said(""), "no reason given");
        assert_eq!(said("a\u{1b}[2J"), "a\\u{1b}[2J");
        assert_eq!(said(&"x".repeat(1000)).len(), 300);
    }

    #[test]
    fn only_temporary_errors_are_retried() {
        let refused = |status: u16, body: &str| ClientError::Refused {
            url: String::new(),
            status: StatusCode::from_u16(status).expect("a status"),
            body: body.to_owned(),
            retry_after: Some(Duration::from_secs(2)),
        };
        for status in [429, 502, 503, 504] {
            assert_eq!(refused(status, "").worth_another_try(), Some(Some(Duration::from_secs(2))), "{status}");
        }
        for status in [400, 401, 403, 404, 409, 422, 500] {
            assert_eq!(refused(status, "").worth_another_try(), None, "{status}");
        }
    }

    #[test]
    fn a_server_that_wants_tls_is_a_matter_of_the_settings() {
        let to = |url: &str, status: u16, body: &str| ClientError::Refused {
            url: url.to_owned(),
            status: StatusCode::from_u16(status).expect("a status"),
            body: body.to_owned(),
            retry_after: None,
        };
        let latchd = "Client sent an HTTP request to an HTTPS server. Use https:// with this port.";
        let nginx = "<center>The plain HTTP request was sent to HTTPS port</center>";
        assert!(to("http://a/session", 400, latchd).is_misconfigured());
        assert!(to("http://a/session", 400, nginx).is_misconfigured());
        assert!(!to("https://a/session", 400, latchd).is_misconfigured());
        assert!(!to("http://a/session", 400, "a bad name").is_misconfigured());
        assert!(!to("http://a/session", 500, latchd).is_misconfigured());
    }

    fn refused(status: u16, body: &str) -> ClientError {
        let status = StatusCode::from_u16(status).expect("a status");
        ClientError::Refused { url: String::new(), status, body: body.to_owned(), retry_after: None }
    }

    #[test]
    fn only_the_service_itself_says_that_a_session_or_a_hold_is_gone() {
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
