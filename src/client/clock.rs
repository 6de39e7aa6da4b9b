//! The clock by which a client judges its own leases: the only file of the client and the command line that reads one.
//!
//! It is `CLOCK_BOOTTIME`, which goes on while the machine is suspended. A laptop that slept through its lease has to
//! know so when it wakes up, and the usual monotonic clock would not tell.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How soon after a suspension it is noticed that a moment has come.
const SLICE: Duration = Duration::from_millis(100);

/// A point on the client's clock. It means nothing on another machine or after a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The present.
    pub fn now() -> Moment {
        let since_boot = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(since_boot.tv_sec).unwrap_or_default();
        Moment(Duration::new(seconds, u32::try_from(since_boot.tv_nsec).unwrap_or_default()))
    }

    /// So much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(duration))
    }

    /// So much earlier; never before the boot.
    #[must_use]
    pub fn before(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_sub(duration))
    }

    /// What has passed since `earlier`, nothing if that lies ahead.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// What is left until then, nothing if it has passed.
    pub fn left(self) -> Duration {
        self.since(Moment::now())
    }

    /// Whether it has come.
    pub fn has_come(self) -> bool {
        Moment::now() >= self
    }

    /// Returns when it has come; soon after waking up from a suspension that outlasted it.
    pub async fn wait(self) {
        // The runtime's timers stand still in a suspension, so none of them may be set for long.
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLICE)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_its_moment_has_come_and_not_before() {
        let begun = Moment::now();
        let then = begun.after(Duration::from_millis(30));
        assert!(!then.has_come());
        then.wait().await;
        assert!(then.has_come());
        begun.wait().await;
        Moment(Duration::ZERO).wait().await;
        assert_eq!(begun.since(then), Duration::ZERO);
        assert_eq!(then.since(begun), Duration::from_millis(30));
        assert_eq!(then.before(Duration::from_millis(30)), begun);
    }
}
