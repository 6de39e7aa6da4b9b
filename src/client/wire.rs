//! Sessions v1 as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{HeaderMap, SET_COOKIE};
use serde::{Deserialize, Serialize};

use super::clock::Moment;
use super::names::Names;

/// The service's default of `locks.metadata_entries_max`.
const METADATA_ENTRIES: usize = 32;
/// The wait of each request of a wait without end: the service's default of the longest.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// A session.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    /// A secret of its owner.
    pub session_id: String,
    #[serde(default)]
    pub(super) idle_timeout_seconds: Option<f64>,
    /// How long it lives without a request; `None` from services that do not say so.
    #[serde(skip)]
    pub idle_timeout: Option<Duration>,
}

/// How long a session lives without a request: the number in the answer, else the cookie's `Max-Age`.
pub(super) fn idle_timeout(seconds: Option<f64>, headers: &HeaderMap) -> Option<Duration> {
    let answered = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    answered.filter(|timeout| !timeout.is_zero()).or_else(|| max_age(headers))
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let cookie = headers.get(SET_COOKIE)?.to_str().ok()?;
    let attributes = cookie.split(';').filter_map(|attribute| attribute.trim().split_once('='));
    let (_, seconds) = attributes.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("max-age"))?;
    seconds.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// A request for a lock, or for several. Only the name has no default.
#[derive(Clone, Debug, Default, Serialize)]
#[must_use]
pub struct LockRequest {
    #[serde(flatten)]
    names: Names,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_delay_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_timeout_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_timeout_seconds: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip)]
    for_ever: bool,
    /// Of a candidate in an election.
    #[serde(skip)]
    value: Option<String>,
}

impl LockRequest {
    /// Tries once, without a lease: the hold ends with its session.
    pub fn new(name: impl Into<String>) -> Self {
        Self { names: Names::Name(name.into()), ..Self::default() }
    }

    /// As [`LockRequest::new`], for all of these under one key and one token, or none.
    pub fn of_all(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        Self { names: names.into(), ..Self::default() }
    }

    /// Campaigns in an election with this value; needs a lease.
    pub fn campaign(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { value: Some(value.into()), ..Self::new(name) }
    }

    /// Shares the lock with all who ask so.
    pub fn shared(mut self) -> Self {
        self.mode = Some("shared");
        self
    }

    /// How many of the places of a counted lock it takes; goes with a size.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// For how long nobody is granted the lock after an unclean end of the hold.
    pub fn lock_delay(mut self, delay: Duration) -> Self {
        self.lock_delay_seconds = Some(delay.as_secs_f64());
        self
    }

    /// How many may hold it at once.
    pub fn size(mut self, size: u32) -> Self {
        self.size = Some(size);
        self
    }

    /// Ends by itself after this long unless renewed.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lock_timeout_seconds = Some(lease.as_secs_f64());
        self
    }

    /// Waits in the queue for up to this long; zero tries once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait_timeout_seconds = (!wait.is_zero()).then_some(wait.as_secs_f64());
        self.for_ever = false;
        self
    }

    /// Waits in the queue without a limit.
    pub fn wait_for_ever(mut self) -> Self {
        self.wait_timeout_seconds = Some(WAIT_MAX.as_secs_f64());
        self.for_ever = true;
        self
    }

    /// Adds metadata, which listings of holders show.
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds the defaults that it does not set itself, up to the limit of metadata.
    pub(super) fn with_default_metadata(mut self, metadata: &[(&'static str, String)]) -> Self {
        for (key, value) in metadata {
            if self.metadata.len() < METADATA_ENTRIES {
                self.metadata.entry((*key).to_owned()).or_insert_with(|| value.clone());
            }
        }
        self
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// The body for an election.
    pub(super) fn campaign_body(&self) -> Option<Campaign<'_>> {
        Some(Campaign {
            value: self.value.as_deref()?,
            lease_seconds: self.lock_timeout_seconds,
            wait_timeout_seconds: self.wait_timeout_seconds,
            metadata: &self.metadata,
        })
    }

    /// Those of its fields that services did not always know.
    pub(super) fn newer_fields(&self) -> impl Iterator<Item = &'static str> {
        let is_several = matches!(self.names, Names::Names(_));
        let given = [
            ("names", is_several),
            ("mode", self.mode.is_some()),
            ("weight", self.weight.is_some()),
            ("lock_delay_seconds", self.lock_delay_seconds.is_some()),
            ("elections", self.value.is_some()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(field, _)| field)
    }

    pub(super) fn lease_asked(&self) -> Option<Duration> {
        self.lock_timeout_seconds.map(Duration::from_secs_f64)
    }

    pub(super) fn waits(&self) -> bool {
        self.wait_timeout_seconds.is_some()
    }

    /// How long one answer may take.
    pub(super) fn longest_wait(&self) -> Duration {
        self.wait_timeout_seconds.map_or(Duration::ZERO, Duration::from_secs_f64)
    }

    /// When a wait that begins now is over; `None` if it has no end.
    pub(super) fn wait_end(&self, now: Moment) -> Option<Moment> {
        (!self.for_ever).then(|| now.after(self.longest_wait()))
    }

    /// A wait without end in the shorter pieces that the service allows; `None` if that does not solve the error.
    pub(super) fn shortened(&self, error: &LockError) -> Option<LockRequest> {
        let limit = error.limit.filter(|_| self.for_ever && error.field.as_deref() == Some("wait_timeout_seconds"))?;
        let is_shorter = limit > 0.0 && self.wait_timeout_seconds.is_some_and(|asked| limit < asked);
        is_shorter.then(|| LockRequest { wait_timeout_seconds: Some(limit), ..self.clone() })
    }
}

/// The body of a campaign.
#[derive(Serialize)]
pub(super) struct Campaign<'a> {
    pub value: &'a str,
    pub lease_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_timeout_seconds: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: &'a BTreeMap<String, String>,
}

/// Answer to lock, renew and a campaign.
#[derive(Clone, Debug, Deserialize)]
pub struct LockResult {
    #[serde(alias = "elected")]
    pub locked: bool,
    pub name: String,
    /// Of a hold of several, all of them.
    #[serde(default)]
    pub names: Vec<String>,
    #[serde(default)]
    pub key: String,
    pub error: Option<LockError>,
    pub fencing_token: Option<u64>,
    pub expires_in_seconds: Option<f64>,
    /// With the error `WouldDeadlock`.
    #[serde(default)]
    pub cycle: Vec<BlockedBy>,
}

/// One step of a deadlock: who waits for whom. Whoever is waited for waits in the next step, and in the last one for the
/// first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BlockedBy {
    /// The lock; `None` if this credential may not see it.
    pub name: Option<String>,
    /// Who holds it or is ahead in its queue: the handle of a session, or an owner label.
    pub held_by: String,
    pub waited_for_by: String,
}

impl LockResult {
    /// How long the hold lasts from when the request was sent: its lease, or less if its session ends sooner.
    pub(super) fn lasts(&self, lease: Duration) -> Duration {
        let expires_in = self.expires_in_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        expires_in.map_or(lease, |left| left.min(lease))
    }
}

/// Answer to unlock.
#[derive(Clone, Debug, Deserialize)]
pub struct UnlockResult {
    pub unlocked: bool,
    pub name: String,
    pub error: Option<LockError>,
}

/// A refusal inside an answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LockError {
    pub code: String,
    pub message: String,
    /// The field of the request that is at fault.
    pub field: Option<String>,
    /// The limit that was exceeded.
    pub limit: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn session_lives_as_long_as_answer_or_cookie_says() {
        let cookie = |cookie| HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static(cookie))]);
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        let max_age = cookie("ldlm-session=0a; Path=/; HttpOnly; Max-Age=420");
        assert_eq!(idle_timeout(Some(419.5), &max_age), seconds(419.5));
        assert_eq!(idle_timeout(None, &max_age), seconds(420.0));
        assert_eq!(idle_timeout(None, &cookie("ldlm-session=0a; Path=/")), None);
        assert_eq!(idle_timeout(None, &cookie("ldlm-session=; Max-Age=0")), None);
    }

    #[test]
    fn endless_wait_is_split_by_the_services_limit() {
        let limit = |field: &str| LockError {
            code: "Unknown".into(),
            message: String::new(),
            field: Some(field.into()),
            limit: Some(60.0),
        };
        let endless = LockRequest::new("a").wait_for_ever();
        let shorter = endless.shortened(&limit("wait_timeout_seconds")).expect("a shorter wait");
        assert_eq!((shorter.longest_wait(), shorter.wait_end(Moment::now())), (Duration::from_secs(60), None));
        assert!(shorter.shortened(&limit("wait_timeout_seconds")).is_none(), "it is within the limit already");
        assert!(endless.shortened(&limit("size")).is_none());
        let bounded = LockRequest::new("a").wait(Duration::from_secs(100));
        assert!(bounded.shortened(&limit("wait_timeout_seconds")).is_none(), "the caller named this time");
    }

    #[test]
    fn zero_wait_tries_once_and_endless_wait_has_no_end() {
        let request = LockRequest::new("a").wait(Duration::ZERO);
        assert!(!request.waits());
        let now = Moment::now();
        assert_eq!(request.clone().wait(Duration::from_secs(3)).wait_end(now), Some(now.after(Duration::from_secs(3))));
        assert_eq!(request.wait_for_ever().wait_end(now), None);
    }
}
