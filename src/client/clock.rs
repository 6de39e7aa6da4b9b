//! The clock of leases in the client and the command line; no other file of theirs reads a clock. It is `CLOCK_BOOTTIME`,
//! which goes on while the machine is suspended, so that a laptop that slept through its lease notices it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The longest sleep, and so the delay of a wait that ended during a suspension.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// A point on the client's clock. It means nothing on another machine or after a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    pub fn now() -> Moment {
        let since_boot = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(since_boot.tv_sec).unwrap_or_default();
        Moment(Duration::new(seconds, u32::try_from(since_boot.tv_nsec).unwrap_or_default()))
    }

    #[must_use]
    pub fn after(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(duration))
    }

    /// Not before the boot.
    #[must_use]
    pub fn before(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_sub(duration))
    }

    /// The time since `earlier`; zero if that is later.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The time until then; zero if it has passed.
    pub fn left(self) -> Duration {
        self.since(Moment::now())
    }

    /// The same as the service tells times: in whole milliseconds, and none more than there is.
    pub fn seconds_left(self) -> f64 {
        Duration::from_millis(u64::try_from(self.left().as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
    }

    pub fn has_come(self) -> bool {
        Moment::now() >= self
    }

    /// Returns when it has come, or soon after a suspension that outlasted it.
    pub async fn wait(self) {
        // The runtime's timers stop during a suspension, so no sleep may be long.
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLEEP_MAX)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wait_ends_at_its_moment() {
        let begun = Moment::now();
        let then = begun.after(Duration::from_millis(30));
        assert!(!begun.after(Duration::from_secs(3600)).has_come());
        then.wait().await;
        assert!(then.has_come());
        begun.wait().await;
        Moment(Duration::ZERO).wait().await;
        assert_eq!(begun.since(then), Duration::ZERO);
        assert_eq!(then.since(begun), Duration::from_millis(30));
        assert_eq!(then.before(Duration::from_millis(30)), begun);
    }
}
