//! When a credential ends while the process runs: at its expiry, by the wall clock, or when it is taken away.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;

use crate::base::clock;

/// No expiry.
const NEVER: u64 = u64::MAX;

/// The end of one credential, shared by all who were let in with it.
#[derive(Debug)]
pub struct Ending {
    /// Seconds since 1970.
    expires: AtomicU64,
    is_removed: AtomicBool,
    /// Changes when something of it may have changed.
    changes: watch::Receiver<()>,
}

impl Ending {
    /// `expires` in seconds since 1970; `changes` changes whenever credentials do.
    pub fn new(expires: Option<u64>, changes: watch::Receiver<()>) -> Ending {
        Ending { expires: AtomicU64::new(expires.unwrap_or(NEVER)), is_removed: AtomicBool::new(false), changes }
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
        self.is_removed.load(Relaxed) || self.has_expired()
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
