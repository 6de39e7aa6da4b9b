//! Repeated failures, counted per address in fixed windows, and how many verifications a throttled
//! address may still cause. Bounded: the oldest window is evicted.

use std::time::Duration;

use crate::base::address_group::AddressGroup;
use crate::base::bounded_map::BoundedMap;
use parking_lot::{Mutex, MutexGuard};

/// A throttled address may have one password verified in this time: enough for a valid one that this
/// process has not met yet to get through, too little to burden the machine.
const VERIFICATION_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Throttle {
    /// So many failures in a window are answered as plain failures; more are throttled.
    failures_per_window: u32,
    window: Duration,
    /// Every window lasts equally long, so the oldest is also the next to end.
    windows: Mutex<Windows>,
}

type Windows = BoundedMap<AddressGroup, Window>;

struct Window {
    since: Duration,
    failures: u32,
    /// While throttled.
    last_verification: Option<Duration>,
}

impl Throttle {
    pub(super) fn new(failures_per_window: u32, window: Duration, max_addresses: usize) -> Throttle {
        Throttle { failures_per_window, window, windows: Mutex::new(BoundedMap::new(max_addresses)) }
    }

    /// Counts a failure. `Some(seconds)` when it is one too many: how long until the window has passed.
    pub(super) fn fail(&self, address: AddressGroup, now: Duration) -> Option<u32> {
        let mut windows = self.current(now);
        let begun = Window { since: now, failures: 0, last_verification: None };
        let window = windows.get_or_insert(address, begun);
        window.failures = window.failures.saturating_add(1);
        let end = window.since + self.window;
        (window.failures > self.failures_per_window).then(|| whole_seconds(end.saturating_sub(now)))
    }

    /// So many failures that a secret from this address is judged at most once in a while.
    pub(super) fn is_throttling(&self, address: AddressGroup, now: Duration) -> bool {
        let windows = self.current(now);
        windows.get(&address).is_some_and(|window| self.is_throttled(window))
    }

    /// Failures of this address in its present window.
    pub(super) fn failures(&self, address: AddressGroup, now: Duration) -> u32 {
        self.current(now).get(&address).map_or(0, |window| window.failures)
    }

    /// Whether a password from this address may be verified now; looks only.
    pub(super) fn may_verify(&self, address: AddressGroup, now: Duration) -> bool {
        let windows = self.current(now);
        let window = windows.get(&address);
        window.is_none_or(|window| !self.is_spent(window, now))
    }

    /// As [`Throttle::may_verify`], and takes the turn.
    pub(super) fn take_verification(&self, address: AddressGroup, now: Duration) -> bool {
        let mut windows = self.current(now);
        let Some(window) = windows.get_mut(&address) else {
            return true;
        };
        if self.is_spent(window, now) {
            return false;
        }
        if self.is_throttled(window) {
            window.last_verification = Some(now);
        }
        true
    }

    fn is_throttled(&self, window: &Window) -> bool {
        window.failures >= self.failures_per_window
    }

    fn is_spent(&self, window: &Window, now: Duration) -> bool {
        let recently = |last| now.saturating_sub(last) < VERIFICATION_INTERVAL;
        self.is_throttled(window) && window.last_verification.is_some_and(recently)
    }

    /// The windows that have not passed yet.
    fn current(&self, now: Duration) -> MutexGuard<'_, Windows> {
        let mut windows = self.windows.lock();
        while windows.oldest().is_some_and(|oldest| now.saturating_sub(oldest.since) >= self.window) {
            windows.remove_oldest();
        }
        windows
    }

    #[cfg(test)]
    pub(super) fn addresses(&self) -> usize {
        self.windows.lock().len()
    }
}

/// Rounded up, and at least 1: what `Retry-After` can say.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}
