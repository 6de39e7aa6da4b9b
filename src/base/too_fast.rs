//! The refusal of a request beyond a rate.

use std::sync::Arc;

/// More requests than a rate allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TooFast {
    /// Which rate, in words.
    pub quota: Arc<str>,
    pub requests_per_second: u32,
    /// Until one more is allowed.
    pub retry_after_seconds: u32,
}
