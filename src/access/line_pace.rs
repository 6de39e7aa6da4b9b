//! Lines that anybody can cause, told a few times a minute: the rest is counted and told with the next one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);

/// How many lines of one kind are told in a minute.
#[derive(Debug)]
pub struct LinePace {
    per_minute: u32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    since: Duration,
    told: u32,
    held_back: u64,
}

impl LinePace {
    pub const fn new(per_minute: u32) -> Self {
        Self { per_minute, window: Mutex::new(Window { since: Duration::ZERO, told: 0, held_back: 0 }) }
    }

    /// Whether a line may be told `now`, by a clock that only rises; then how many were held back before it.
    pub fn admit(&self, now: Duration) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(window.since) >= WINDOW {
            (window.since, window.told) = (now, 0);
        }
        if window.told >= self.per_minute {
            window.held_back += 1;
            return None;
        }
        window.told += 1;
        Some(std::mem::take(&mut window.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_a_minute_pass_and_the_next_one_counts_the_rest() {
        let pace = LinePace::new(2);
        let at = |seconds| pace.admit(Duration::from_secs(seconds));
        assert_eq!([at(0), at(1), at(2), at(59)], [Some(0), Some(0), None, None]);
        assert_eq!([at(60), at(61), at(62)], [Some(2), Some(0), None]);
        assert_eq!(at(500), Some(1));
    }
}
