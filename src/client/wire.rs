//! Sessions v1 as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{HeaderMap, SET_COOKIE};
use serde::{Deserialize, Serialize};

use super::clock::Moment;

/// An answer that names the lock it is about.
pub(super) trait Named {
    fn name(&self) -> &str;
}

/// How many entries of metadata a service takes unless told else (`locks.metadata_entries_max`).
const METADATA_ENTRIES: usize = 32;
/// What a wait without end asks for, and asks for again: the longest that a service allows unless it is told otherwise.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// A session that was opened.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    /// A secret of its owner.
    pub session_id: String,
    /// As the answer says it.
    #[serde(default)]
    pub(super) idle_timeout_seconds: Option<f64>,
    /// How long it lives without a request; `None` from services that do not tell.
    #[serde(skip)]
    pub idle_timeout: Option<Duration>,
}

/// How long a session lives without a request: as its answer says, else its cookie.
pub(super) fn idle_timeout(told: Option<f64>, headers: &HeaderMap) -> Option<Duration> {
    let told = told.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    told.filter(|told| !told.is_zero()).or_else(|| max_age(headers))
}

/// The cookie's `Max-Age` is how long the session lives without a request, rounded up to a second.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let cookie = headers.get(SET_COOKIE)?.to_str().ok()?;
    let attributes = cookie.split(';').filter_map(|attribute| attribute.trim().split_once('='));
    let (_, seconds) = attributes.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("max-age"))?;
    seconds.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
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
    #[serde(skip)]
    for_ever: bool,
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
            for_ever: false,
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
        self.for_ever = false;
        self
    }

    /// Waits in the queue until the turn comes.
    #[must_use]
    pub fn wait_for_ever(mut self) -> Self {
        self.wait_timeout_seconds = Some(WAIT_MAX.as_secs_f64());
        self.for_ever = true;
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
            Some(seconds) => Duration::from_secs_f64(seconds),
        }
    }

    /// When a wait that begins now is over; `None` if it has no end.
    pub(super) fn wait_end(&self, now: Moment) -> Option<Moment> {
        (!self.for_ever).then(|| now.after(self.longest_wait()))
    }

    /// A wait without end in shorter pieces, where the service allows no longer ones; `None` where that is no remedy.
    pub(super) fn within(&self, error: &LockError) -> Option<LockRequest> {
        let limit = error.limit.filter(|_| self.for_ever && error.field.as_deref() == Some("wait_timeout_seconds"))?;
        let is_shorter = limit > 0.0 && self.wait_timeout_seconds.is_some_and(|asked| limit < asked);
        is_shorter.then(|| LockRequest { wait_timeout_seconds: Some(limit), ..self.clone() })
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

    /// How long the hold lasts from when it was asked for: its lease, or less where its session ends sooner.
    pub(super) fn lasts(&self, lease: Duration) -> Duration {
        self.expires_in().map_or(lease, |told| told.min(lease))
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LockError {
    pub code: String,
    pub message: String,
    /// The field of the request that is at fault.
    #[serde(default)]
    pub field: Option<String>,
    /// The bound that was exceeded.
    #[serde(default)]
    pub limit: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn a_session_lives_as_long_as_its_answer_says_or_else_its_cookie() {
        let cookie = |cookie| HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static(cookie))]);
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        let max_age = cookie("ldlm-session=0a; Path=/; HttpOnly; Max-Age=420");
        assert_eq!(idle_timeout(Some(419.5), &max_age), seconds(419.5));
        assert_eq!(idle_timeout(None, &max_age), seconds(420.0));
        assert_eq!(idle_timeout(None, &cookie("ldlm-session=0a; Path=/")), None);
        assert_eq!(idle_timeout(None, &cookie("ldlm-session=; Max-Age=0")), None);
    }

    #[test]
    fn a_wait_without_end_is_asked_for_in_pieces_that_the_service_allows() {
        let limit = |field: &str| LockError {
            code: "Unknown".into(),
            message: String::new(),
            field: Some(field.into()),
            limit: Some(60.0),
        };
        let patient = LockRequest::new("a").wait_for_ever();
        let shorter = patient.within(&limit("wait_timeout_seconds")).expect("a shorter wait");
        assert_eq!((shorter.longest_wait(), shorter.wait_end(Moment::now())), (Duration::from_secs(60), None));
        assert!(shorter.within(&limit("wait_timeout_seconds")).is_none(), "it is within the limit already");
        assert!(patient.within(&limit("size")).is_none());
        let bounded = LockRequest::new("a").wait(Duration::from_secs(100));
        assert!(bounded.within(&limit("wait_timeout_seconds")).is_none(), "the caller named this time");
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
