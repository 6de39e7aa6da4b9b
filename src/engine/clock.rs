//! The only file that reads a clock.

use std::time::{Duration, Instant};

/// Since this process first asked: for rates and throttles outside the lock table.
pub fn process_age() -> Duration {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed()
}
