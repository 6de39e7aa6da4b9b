//! The client itself: what it knows of its service, and what it shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use reqwest::Url;

use super::attempts::AttemptLog;
use super::clock::Moment;
use super::retry::Patience;

/// The longest pause between two rounds of attempts.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(2);

/// One client: its connections, its credential and its session. A clone is the same client.
#[derive(Clone)]
pub struct Client(pub(super) Arc<ClientState>);

pub(super) struct ClientState {
    /// Never empty.
    pub(super) bases: Vec<Url>,
    /// Counts up; which of them is asked next.
    pub(super) turn: AtomicUsize,
    pub(super) http: reqwest::Client,
    pub(super) credential: Option<Credential>,
    pub(super) session: Mutex<Option<String>>,
    pub(super) attempt_timeout: Duration,
    pub(super) patience: Duration,
    /// Default metadata of the locks that are taken.
    pub(super) metadata: Vec<(&'static str, String)>,
    /// A connection was made, or at least not refused.
    pub(super) reached: AtomicBool,
    /// A connection was refused, or its address is unreachable.
    pub(super) refused_connection: AtomicBool,
    /// At each URL, for error messages.
    pub(super) attempts: AttemptLog,
    /// How long a call is repeated while every URL refuses connections; `None`: as long as any other call.
    pub(super) absence: Option<Duration>,
    /// Called when a call has no answer after this time.
    pub(super) notice: Option<(Duration, Notice)>,
}

/// Receives what is known of a call that has no answer yet.
pub type Notice = fn(&str);

/// What the client shows with every request.
pub(super) enum Credential {
    Password(String),
    ApiKey(String),
}

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
    /// Whether nobody is there at any of the URLs, as far as is known: connections were refused, and none came about.
    pub fn found_nobody(&self) -> bool {
        self.0.refused_connection.load(Ordering::Relaxed) && !self.0.reached.load(Ordering::Relaxed)
    }

    /// How many URLs it has.
    pub fn urls(&self) -> usize {
        self.0.bases.len()
    }

    /// Why there is no result, as far as is known: the last reason of each URL, and which of them are silent.
    pub fn trouble(&self) -> String {
        self.0.attempts.errors(&self.0.bases, "no answer in time from")
    }

    pub(super) fn patience(&self) -> Patience {
        Patience { until: Moment::now().after(self.0.patience), attempt: self.0.attempt_timeout, pause_max: PAUSE_MAX }
    }

    /// Each URL is tried once.
    pub(super) fn once(&self) -> Patience {
        Patience { until: Moment::now(), ..self.patience() }
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Option<String>> {
        self.0.session.lock()
    }
}
