//! Repeated failures, counted per address in fixed windows, and how many verifications a throttled
//! address may still cause. Bounded: the oldest window gives way.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};

/// A throttled address may have one password verified in this time: enough for a valid one that this
/// process has not met yet to get through, too little to burden the machine.
const VERIFICATION_INTERVAL: Duration = Duration::from_secs(1);

/// A client with one IPv6 address has its whole /64: they count as one. IPv4 in IPv6 clothes is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AddressGroup(IpAddr);

impl AddressGroup {
    /// The address, or the first of its network.
    pub(super) fn ip(self) -> IpAddr {
        self.0
    }
}

impl From<IpAddr> for AddressGroup {
    fn from(address: IpAddr) -> AddressGroup {
        AddressGroup(match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        })
    }
}

impl AddressGroup {
    /// No two groups have the same: what is reserved at the begin of IPv6 stands for IPv4. Never 0.
    pub(super) fn number(self) -> u64 {
        const IPV4: u64 = 0xffff << 32;
        match self.0 {
            IpAddr::V4(v4) => IPV4 | u64::from(v4.to_bits()),
            IpAddr::V6(v6) => ((v6.to_bits() >> 64) as u64).max(1),
        }
    }
}

/// The number of the group of addresses that this one belongs to: see [`AddressGroup`].
pub fn address_group(address: IpAddr) -> u64 {
    AddressGroup::from(address).number()
}

pub(super) struct Throttle {
    /// So many failures in a window are answered as plain failures; more are throttled.
    failures_per_window: u32,
    window: Duration,
    max_addresses: usize,
    windows: Mutex<Windows>,
}

#[derive(Default)]
struct Windows {
    by_address: HashMap<AddressGroup, Window>,
    /// Every window lasts equally long, so the oldest is also the next to end.
    oldest_first: VecDeque<AddressGroup>,
}

struct Window {
    since: Duration,
    failures: u32,
    /// While throttled.
    last_verification: Option<Duration>,
}

impl Throttle {
    pub(super) fn new(failures_per_window: u32, window: Duration, max_addresses: usize) -> Throttle {
        Throttle { failures_per_window, window, max_addresses, windows: Mutex::default() }
    }

    /// Counts a failure. `Some(seconds)` when it is one too many: how long until the window has passed.
    pub(super) fn fail(&self, address: AddressGroup, now: Duration) -> Option<u32> {
        let mut windows = self.current(now);
        let window = windows.of(address, now, self.max_addresses);
        window.failures = window.failures.saturating_add(1);
        let end = window.since + self.window;
        (window.failures > self.failures_per_window).then(|| whole_seconds(end.saturating_sub(now)))
    }

    /// So many failures that a secret from this address is judged at most once in a while.
    pub(super) fn is_throttling(&self, address: AddressGroup, now: Duration) -> bool {
        let windows = self.current(now);
        windows.by_address.get(&address).is_some_and(|window| self.is_throttled(window))
    }

    /// Failures of this address in its present window.
    pub(super) fn failures(&self, address: AddressGroup, now: Duration) -> u32 {
        self.current(now).by_address.get(&address).map_or(0, |window| window.failures)
    }

    /// Whether a password from this address may be verified now; looks only.
    pub(super) fn may_verify(&self, address: AddressGroup, now: Duration) -> bool {
        let windows = self.current(now);
        let window = windows.by_address.get(&address);
        window.is_none_or(|window| !self.is_spent(window, now))
    }

    /// As [`Throttle::may_verify`], and takes the turn.
    pub(super) fn take_verification(&self, address: AddressGroup, now: Duration) -> bool {
        let mut windows = self.current(now);
        let Some(window) = windows.by_address.get_mut(&address) else {
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
        while let Some(oldest) = windows.oldest_first.front()
            && let Some(window) = windows.by_address.get(oldest)
            && now.saturating_sub(window.since) >= self.window
        {
            windows.drop_oldest();
        }
        windows
    }

    #[cfg(test)]
    pub(super) fn addresses(&self) -> usize {
        let windows = self.windows.lock();
        assert_eq!(windows.by_address.len(), windows.oldest_first.len());
        windows.by_address.len()
    }
}

impl Windows {
    fn of(&mut self, address: AddressGroup, now: Duration, max_addresses: usize) -> &mut Window {
        if !self.by_address.contains_key(&address) {
            if self.by_address.len() >= max_addresses {
                self.drop_oldest();
            }
            self.oldest_first.push_back(address);
        }
        self.by_address.entry(address).or_insert(Window { since: now, failures: 0, last_verification: None })
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.oldest_first.pop_front() {
            self.by_address.remove(&oldest);
        }
    }
}

/// Rounded up, and at least 1: what `Retry-After` can say.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}
