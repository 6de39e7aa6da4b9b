//! Sessions v1 as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderValue, SET_COOKIE};
use serde::{Deserialize, Serialize};

use super::call::Named;
use super::clock::Moment;

/// What sessions v1 calls a wait without end.
const FOR_EVER: f64 = 0.0;
/// How many entries of metadata a service takes unless told else (`locks.metadata_entries_max`).
const METADATA_ENTRIES: usize = 32;
/// No service waits longer in one request.
const WAIT_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// A session that was opened.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    /// A secret of its owner.
    pub session_id: String,
    /// How long it lives without a request, rounded down; `None` from services that do not tell.
    #[serde(skip)]
    pub idle_timeout: Option<Duration>,
}

/// The cookie's `Expires` less the answer's `Date` is how long the session lives, both by the service's own clock.
pub(super) fn idle_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
    let date = httpdate::parse_http_date(&text(headers.get(DATE)?)?).ok()?;
    let cookie = text(headers.get(SET_COOKIE)?)?;
    let attributes = cookie.split(';').filter_map(|attribute| attribute.trim().split_once('='));
    let (_, expires) = attributes.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("expires"))?;
    httpdate::parse_http_date(expires).ok()?.duration_since(date).ok()
}

/// What to take. Built from a name; everything else has a default.
#[derive(Clone, Debug, Serialize)]
pub struct LockRequest {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_timeout_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_timeout_seconds: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

impl LockRequest {
    /// Tries once, without a lease: the session's end frees it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            size: None,
            lock_timeout_seconds: None,
            wait_timeout_seconds: None,
            metadata: BTreeMap::new(),
        }
    }

    /// How many may hold it at once.
    #[must_use]
    pub fn size(mut self, size: u32) -> Self {
        self.size = Some(size);
        self
    }

    /// Ends by itself after this long unless renewed.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lock_timeout_seconds = Some(lease.as_secs_f64());
        self
    }

    /// Waits in the queue for up to this long; nothing at all tries once.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait_timeout_seconds = (!wait.is_zero()).then_some(wait.as_secs_f64());
        self
    }

    /// Waits in the queue until the turn comes.
    #[must_use]
    pub fn wait_for_ever(mut self) -> Self {
        self.wait_timeout_seconds = Some(FOR_EVER);
        self
    }

    /// Shown to whoever asks who holds the lock.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With what it does not say itself, as far as a service of default limits takes so many.
    pub(super) fn with_default_metadata(mut self, metadata: &[(&'static str, String)]) -> Self {
        for (key, value) in metadata {
            if self.metadata.len() < METADATA_ENTRIES {
                self.metadata.entry((*key).to_owned()).or_insert_with(|| value.clone());
            }
        }
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn lease_asked(&self) -> Option<Duration> {
        self.lock_timeout_seconds.map(Duration::from_secs_f64)
    }

    /// Whether it is content to wait at all.
    pub(super) fn waits(&self) -> bool {
        self.wait_timeout_seconds.is_some()
    }

    /// How long it may have to be patient with one answer.
    pub(super) fn longest_wait(&self) -> Duration {
        match self.wait_timeout_seconds {
            None => Duration::ZERO,
            Some(FOR_EVER) => WAIT_MAX,
            Some(seconds) => Duration::from_secs_f64(seconds),
        }
    }

    /// When a wait that begins now is over; `None` if it has no end.
    pub(super) fn wait_end(&self, now: Moment) -> Option<Moment> {
        match self.wait_timeout_seconds {
            Some(FOR_EVER) => None,
            _ => Some(now.after(self.longest_wait())),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Unlock<'a> {
    pub name: &'a str,
    pub key: &'a str,
}

#[derive(Serialize)]
pub(super) struct Renew<'a> {
    pub name: &'a str,
    pub key: &'a str,
    pub lock_timeout_seconds: f64,
}

/// Answer to lock and renew.
#[derive(Clone, Debug, Deserialize)]
pub struct LockResult {
    pub locked: bool,
    pub name: String,
    #[serde(default)]
    pub key: String,
    pub error: Option<LockError>,
    pub fencing_token: Option<u64>,
    pub expires_in_seconds: Option<f64>,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    pub key: String,
    pub fencing_token: u64,
}

impl LockResult {
    /// What was left of the lease when the answer left.
    pub(super) fn expires_in(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.expires_in_seconds?).ok()
    }

    /// The hold, when there is one.
    pub fn held(self) -> Option<Held> {
        let fencing_token = self.fencing_token.filter(|_| self.locked)?;
        Some(Held { key: self.key, fencing_token })
    }
}

/// Answer to unlock.
#[derive(Clone, Debug, Deserialize)]
pub struct UnlockResult {
    pub unlocked: bool,
    pub name: String,
    pub error: Option<LockError>,
}

impl Named for LockResult {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for UnlockResult {
    fn name(&self) -> &str {
        &self.name
    }
}

/// A refusal inside an answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LockError {
    pub code: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lives_from_the_date_of_its_answer_to_the_expiry_of_its_cookie() {
        let headers = |cookie: &'static str| {
            HeaderMap::from_iter([
                (DATE, HeaderValue::from_static("Sat, 21 Nov 2026 01:41:39 GMT")),
                (SET_COOKIE, HeaderValue::from_static(cookie)),
            ])
        };
        let idle = |cookie| idle_timeout(&headers(cookie));
        let lives = idle("ldlm-session=0a; Path=/; HttpOnly; Expires=Sat, 21 Nov 2026 01:48:39 GMT");
        assert_eq!(lives, Some(Duration::from_secs(420)));
        assert_eq!(idle("ldlm-session=0a; Path=/"), None);
        assert_eq!(idle("ldlm-session=0a; Expires=Sat, 21 Nov 2026 01:00:00 GMT"), None);
    }

    #[test]
    fn no_wait_tries_once_and_a_wait_without_end_has_none() {
        let request = LockRequest::new("a").wait(Duration::ZERO);
        assert!(!request.waits());
        let now = Moment::now();
        assert_eq!(request.clone().wait(Duration::from_secs(3)).wait_end(now), Some(now.after(Duration::from_secs(3))));
        assert_eq!(request.wait_for_ever().wait_end(now), None);
    }
}
