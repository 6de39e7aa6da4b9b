//! The client's state: the URLs of its service, its credential and session, and the last error of each URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Url;

use super::clock::Moment;
use super::error::ClientError;
use super::retry::RetryPolicy;

/// The longest delay between two rounds of attempts.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);

/// One client: its connections, its credential and its session. A clone is the same client.
#[derive(Clone)]
pub struct Client(pub(super) Arc<ClientState>);

pub(super) struct ClientState {
    /// Never empty.
    pub bases: Vec<Url>,
    /// A count; modulo the number of URLs it is the URL of the next request.
    pub next_url: AtomicUsize,
    pub http: reqwest::Client,
    pub settings: Settings,
    pub session: Mutex<Option<String>>,
    /// Default metadata of the locks that are taken.
    pub metadata: Vec<(&'static str, String)>,
    /// A connection was made, or at least not refused.
    pub reached: AtomicBool,
    /// A connection was refused, or its address is unreachable.
    pub refused_connection: AtomicBool,
    pub attempts: AttemptLog,
}

#[derive(Debug)]
pub(super) struct Settings {
    pub credential: Option<Credential>,
    pub attempt_timeout: Duration,
    pub retry_for: Duration,
    /// How long a call is repeated while every URL refuses connections; `None`: as long as any other call.
    pub unreachable_timeout: Option<Duration>,
    /// Called when a call has no answer after this time.
    pub notice: Option<(Duration, Notice)>,
    /// `traceparent` and `tracestate` of every request.
    pub trace: Vec<(&'static str, String)>,
}

/// Receives the last errors of a call that has no answer yet.
pub type Notice = fn(&str);

pub(super) enum Credential {
    Password(String),
    ApiKey(String),
    /// Asked before each request.
    CurrentApiKey(CurrentKey),
}

/// Gives the API key that is valid now.
pub(super) type CurrentKey = Box<dyn Fn() -> String + Send + Sync>;

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(hidden)")
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let urls: Vec<&str> = self.0.bases.iter().map(Url::as_str).collect();
        f.debug_struct("Client").field("urls", &urls).finish_non_exhaustive()
    }
}

impl Client {
    /// Whether connections were refused, and none was ever made, at any URL.
    pub fn never_connected(&self) -> bool {
        self.0.refused_connection.load(Ordering::Relaxed) && !self.0.reached.load(Ordering::Relaxed)
    }

    pub fn urls(&self) -> usize {
        self.0.bases.len()
    }

    /// The last error of each URL, and which of them did not answer.
    pub fn last_errors(&self) -> String {
        self.0.attempts.errors(&self.0.bases, "no answer in time from")
    }

    pub(super) fn retry_policy(&self) -> RetryPolicy {
        let until = Moment::now().after(self.0.settings.retry_for);
        RetryPolicy { until, attempt: self.0.settings.attempt_timeout, delay_max: RETRY_DELAY_MAX }
    }

    /// A policy that tries each URL once.
    pub(super) fn once(&self) -> RetryPolicy {
        RetryPolicy { until: Moment::now(), ..self.retry_policy() }
    }
}

#[derive(Clone, Debug, Default)]
struct LastAttempt {
    /// An attempt has not ended, or was dropped before it did.
    pending: bool,
    /// Why the last attempt that ended failed.
    error: Option<String>,
}

/// How the last attempt at each URL ended, in the order of the URLs.
#[derive(Debug)]
pub(super) struct AttemptLog(Mutex<Vec<LastAttempt>>);

impl AttemptLog {
    pub fn new(urls: usize) -> Self {
        Self(Mutex::new(vec![LastAttempt::default(); urls]))
    }

    pub fn begin(&self, at: usize) {
        self.0.lock()[at].pending = true;
    }

    pub fn end(&self, at: usize, error: Option<&ClientError>) {
        self.0.lock()[at] = LastAttempt { pending: false, error: error.map(ToString::to_string) };
    }

    /// The last error of each URL; `silence` introduces URLs without an answer, such as "no answer in time from".
    pub fn errors(&self, urls: &[Url], silence: &str) -> String {
        let attempts = self.0.lock();
        let of = |(last, url): (&LastAttempt, &Url)| match &last.error {
            Some(error) => Some(error.clone()),
            None => last.pending.then(|| format!("{silence} {}", url.as_str().trim_end_matches('/'))),
        };
        attempts.iter().zip(urls).filter_map(of).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_url_reports_its_last_error_or_silence() {
        let urls = ["http://a:1", "http://b:2", "http://c:3"].map(|url| Url::parse(url).expect(url));
        let attempts = AttemptLog::new(3);
        assert_eq!(attempts.errors(&urls, "no answer from"), "");
        attempts.begin(0);
        attempts.end(0, Some(&ClientError::TimedOut { url: "http://a:1/x".to_owned() }));
        attempts.begin(0);
        attempts.begin(1);
        let expected = "http://a:1/x cannot be reached: no answer in time; no answer from http://b:2";
        assert_eq!(attempts.errors(&urls, "no answer from"), expected);
        attempts.end(0, None);
        assert_eq!(attempts.errors(&urls, "no answer from"), "no answer from http://b:2");
    }
}
