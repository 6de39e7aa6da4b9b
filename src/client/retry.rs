//! When a call is sent again: to whom, after what pause, and for how long.

use std::time::Duration;

use super::clock::Moment;

/// How long a call goes on while nobody answers it, and how its attempts are paced.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// No attempt begins after this moment, but each URL is tried once in any case.
    pub until: Moment,
    /// How long one attempt may take.
    pub attempt: Duration,
    /// The longest pause between two rounds.
    pub pause_max: Duration,
}

/// How long nobody has been there at any of the URLs.
pub(super) struct Absence {
    since: Moment,
    in_a_row: usize,
}

impl Absence {
    pub fn new() -> Self {
        Self { since: Moment::now(), in_a_row: 0 }
    }

    /// Counts an attempt that failed; somebody was there unless its connection was refused.
    pub fn count(&mut self, is_refused: bool) {
        match is_refused {
            true => self.in_a_row += 1,
            false => *self = Self::new(),
        }
    }

    /// Whether it has lasted for so long at that moment, with so many URLs.
    pub fn lasts(&self, absence: Duration, urls: usize, then: Moment) -> bool {
        self.in_a_row >= urls && then >= self.since.after(absence)
    }
}

const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The pauses between rounds: doubling, and each somewhere in the upper half of its length, so that many clients of a
/// service that comes back do not all knock at the same moment.
pub(super) struct Pauses {
    next: Duration,
    max: Duration,
}

impl Pauses {
    pub fn new(max: Duration) -> Self {
        Self { next: PAUSE_FIRST.min(max), max }
    }

    /// The next pause; at least what the service asked for, within the bound.
    pub fn next(&mut self, asked_for: Option<Duration>) -> Duration {
        let pause = jittered(self.next);
        self.next = (self.next * 2).min(self.max);
        pause.max(asked_for.unwrap_or_default()).min(self.max)
    }
}

fn jittered(pause: Duration) -> Duration {
    // Without random numbers the pause is merely not spread.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    let share = 0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX);
    pause.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_are_spread() {
        let ms = Duration::from_millis;
        let mut pauses = Pauses::new(ms(150));
        for longest in [50, 100, 150, 150] {
            let pause = pauses.next(None);
            assert!(pause >= ms(longest / 2) && pause <= ms(longest), "{pause:?} of {longest} ms");
        }
        assert!(pauses.next(Some(ms(149))) >= ms(149), "the service's wish is a floor");
        assert_eq!(pauses.next(Some(Duration::from_secs(9))), ms(150), "the bound wins over the service's wish");
    }
}
