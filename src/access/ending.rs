//! When a credential ends while the process runs: at its expiry, by the wall clock, or when it is taken away.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;

use crate::base::clock;

/// Whether the authorities of now vouch for a certificate.
pub type Trust = Arc<dyn Fn() -> bool + Send + Sync>;

/// No expiry.
const NEVER: u64 = u64::MAX;

/// The end of one credential, shared by all who were let in with it.
pub struct Ending {
    /// Seconds since 1970.
    expires: AtomicU64,
    is_removed: Arc<AtomicBool>,
    /// Of a certificate, whose authority may be taken away.
    trust: Option<Trust>,
    /// Changes when something of it may have changed.
    changes: watch::Receiver<()>,
}

impl Ending {
    /// `expires` in seconds since 1970; `changes` changes whenever credentials do.
    pub fn new(expires: Option<u64>, changes: watch::Receiver<()>) -> Ending {
        let expires = AtomicU64::new(expires.unwrap_or(NEVER));
        Ending { expires, is_removed: Arc::default(), trust: None, changes }
    }

    /// The same end, or one of these two if it comes earlier.
    pub(super) fn or_at(&self, expires: u64, trust: Trust) -> Ending {
        let expires = AtomicU64::new(expires.min(self.expires.load(Relaxed)));
        let (is_removed, changes) = (Arc::clone(&self.is_removed), self.changes.clone());
        Ending { expires, is_removed, trust: Some(trust), changes }
    }

    /// In seconds since 1970.
    pub fn expires(&self) -> Option<u64> {
        Some(self.expires.load(Relaxed)).filter(|expires| *expires != NEVER)
    }

    /// How long it lasts yet; `None` without an expiry.
    pub fn remaining(&self) -> Option<Duration> {
        self.expires().map(|expires| Duration::from_secs(expires).saturating_sub(clock::unix_time()))
    }

    /// By the wall clock of this machine: where that is set back, what had expired is valid again.
    pub fn has_expired(&self) -> bool {
        self.remaining().is_some_and(|remaining| remaining.is_zero())
    }

    pub fn has_come(&self) -> bool {
        self.is_removed.load(Relaxed) || self.has_expired() || self.trust.as_ref().is_some_and(|trusted| !trusted())
    }

    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.clone()
    }

    pub(super) fn expire_at(&self, expires: Option<u64>) {
        self.expires.store(expires.unwrap_or(NEVER), Relaxed);
    }

    pub(super) fn remove(&self) {
        self.is_removed.store(true, Relaxed);
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending")
            .field("expires", &self.expires())
            .field("is_removed", &self.is_removed)
            .finish_non_exhaustive()
    }
}
