//! Attempts with a secret that opens nothing: counted, and a few a minute told.

use super::service::Service;
use crate::access::{LinePace, Verdict};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whoever guesses passwords must not fill a disk with lines.
const LINES_PER_MINUTE: u32 = 10;

/// Of the whole service.
#[derive(Debug)]
pub struct FailedLogins {
    count: AtomicU64,
    pace: LinePace,
}

impl Default for FailedLogins {
    fn default() -> FailedLogins {
        FailedLogins { count: AtomicU64::new(0), pace: LinePace::new(LINES_PER_MINUTE) }
    }
}

impl FailedLogins {
    /// Since the process started.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Service {
    /// Notes a verdict on who asks from an address. What was presented is never told, nor a user name: it may be the
    /// password in the wrong field.
    pub(super) fn note_login(&self, verdict: &Verdict, from: IpAddr) {
        let why = match verdict {
            Verdict::Granted(_) | Verdict::Missing => return,
            Verdict::Wrong => "this password or API key is not known",
            Verdict::Throttled { .. } => "too many failed attempts from this address",
        };
        self.failed_logins.count.fetch_add(1, Ordering::Relaxed);
        if let Some(held_back) = self.failed_logins.pace.admit((self.clock.uptime)()) {
            tracing::info!(address = %from, why, held_back, "a login from {from} has failed: {why}");
        }
    }
}
