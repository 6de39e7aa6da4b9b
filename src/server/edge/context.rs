//! What the connections of one listener share about requests.

use std::time::Duration;

use super::super::browser::BrowserGuard;
use super::super::drain::Drain;
use super::super::forwarded::TrustedProxies;

/// Reads a monotonic clock.
pub type Clock = fn() -> Duration;

pub struct EdgeContext {
    pub trusted: TrustedProxies,
    pub browsers: BrowserGuard,
    pub clock: Clock,
    pub drain: Drain,
    pub header_bytes_max: usize,
    /// How long a body may take to come.
    pub body_timeout: Duration,
}
