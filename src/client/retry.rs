//! When a call is sent again: after what delay, and for how long.

use std::time::Duration;

use super::clock::Moment;

/// How long a call is repeated while no node answers, and how its attempts are paced.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryPolicy {
    /// No attempt begins after this moment, but each URL is tried once in any case.
    pub until: Moment,
    /// The timeout of one attempt.
    pub attempt: Duration,
    /// The longest delay between two rounds.
    pub delay_max: Duration,
}

/// Connections that were refused in a row, and since when.
pub(super) struct RefusedConnections {
    since: Moment,
    in_a_row: usize,
}

impl RefusedConnections {
    pub fn new() -> Self {
        Self { since: Moment::now(), in_a_row: 0 }
    }

    /// Counts a failed attempt.
    pub fn count(&mut self, is_refused: bool) {
        match is_refused {
            true => self.in_a_row += 1,
            false => *self = Self::new(),
        }
    }

    /// Whether at that moment all of `urls` URLs will have refused for this long.
    pub fn last(&self, timeout: Duration, urls: usize, then: Moment) -> bool {
        self.in_a_row >= urls && then >= self.since.after(timeout)
    }
}

const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);

/// The delays between rounds: doubling, each with jitter in its upper half.
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub fn new(max: Duration) -> Self {
        Self { next: RETRY_DELAY_MIN.min(max), max }
    }

    /// The next delay; at least what the service asked for, within the bound.
    pub fn next(&mut self, asked_for: Option<Duration>) -> Duration {
        // Without random numbers there is merely no jitter.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let delay = self.next.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX));
        self.next = (self.next * 2).min(self.max);
        delay.max(asked_for.unwrap_or_default()).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_their_bound_with_jitter() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(150));
        for longest in [50, 100, 150, 150] {
            let delay = backoff.next(None);
            assert!(delay >= ms(longest / 2) && delay <= ms(longest), "{delay:?} of {longest} ms");
        }
        assert!(backoff.next(Some(ms(149))) >= ms(149), "the service's wish is a floor");
        assert_eq!(backoff.next(Some(Duration::from_secs(9))), ms(150), "the bound wins over the service's wish");
    }
}
