//! What callers use that no credential bounds, address by address: each pool has a bound for all of them together and
//! a share for one address. A client with one IPv6 address has its whole /64, so that counts as one.

use crate::base::LogRateLimit;
use crate::base::address_group::AddressGroup;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

/// Declares the pools, each with the key of `config.toml` that bounds it.
macro_rules! pools {
    ($($(#[$doc:meta])* $pool:ident = $config_key:literal,)*) => {
        /// What is shared out among addresses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum AddressPool {
            $($(#[$doc])* $pool,)*
        }

        impl AddressPool {
            pub const ALL: [AddressPool; [$($config_key),*].len()] = [$(AddressPool::$pool),*];
            const COUNT: usize = AddressPool::ALL.len();

            pub const fn config_key(self) -> &'static str {
                match self {
                    $(AddressPool::$pool => $config_key,)*
                }
            }
        }
    };
}

pools! {
    /// Connections of one address.
    Connections = "server.connections_per_address_max",
    /// Connections beyond every bound, on which only probes are answered.
    ProbeConnections = "server.connections_max",
    /// Bytes of requests whose callers have shown no credential.
    UnidentifiedBytes = "server.unidentified_bytes_max",
    /// Streams without an end that need no credential.
    PublicStreams = "server.public_streams_max",
    /// Listings that are being sent.
    Listings = "server.listings_max",
}

/// The bounds of one pool.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub all: u64,
    pub address: u64,
    /// The last part of all is for addresses that have at most so much.
    pub little: u64,
    pub reserve: u64,
}

impl Share {
    /// So much for all, and so much of it for one address.
    pub const fn of(all: u64, address: u64) -> Share {
        Share { all, address, little: 0, reserve: 0 }
    }

    /// Half of all for one address; the last quarter is for those that have little.
    pub const fn halved(all: u64) -> Share {
        Share { all, address: all / 2, little: all / 64, reserve: all / 4 }
    }

    /// How much all may have for an address that would have so much.
    fn left_for(&self, mine: u64) -> u64 {
        if mine <= self.little { self.all } else { self.all - self.reserve }
    }
}

/// A trusted proxy has an account apart from the network that it is in.
type Account = (AddressGroup, bool);

/// All addresses that use something now.
pub struct Addresses {
    shares: [Share; AddressPool::COUNT],
    used: [AtomicU64; AddressPool::COUNT],
    refused: [AtomicU64; AddressPool::COUNT],
    paces: [LogRateLimit; AddressPool::COUNT],
    is_proxy: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    by_group: Mutex<HashMap<Account, Weak<Address>>>,
}

/// One of them. It is forgotten with its last user.
#[derive(Debug)]
pub struct Address {
    all: Arc<Addresses>,
    group: AddressGroup,
    /// Many clients come from it: it has no share, as the whole alone bounds it.
    is_proxy: bool,
    used: [AtomicU64; AddressPool::COUNT],
}

/// So much of a pool, until it is dropped.
#[derive(Debug)]
pub struct Place {
    address: Arc<Address>,
    pool: AddressPool,
    amount: AtomicU64,
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").field("shares", &self.shares).field("used", &self.used).finish_non_exhaustive()
    }
}

impl Addresses {
    /// `share` tells the bounds of each pool; `is_proxy` tells which addresses have no share of their own.
    pub fn new(
        share: impl Fn(AddressPool) -> Share,
        is_proxy: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Arc<Addresses> {
        Arc::new(Addresses {
            shares: AddressPool::ALL.map(share),
            used: Default::default(),
            refused: Default::default(),
            paces: [const { LogRateLimit::new(1) }; AddressPool::COUNT],
            is_proxy: Box::new(is_proxy),
            by_group: Mutex::default(),
        })
    }

    pub fn of(self: &Arc<Addresses>, ip: IpAddr) -> Arc<Address> {
        let (group, is_proxy) = (AddressGroup::from(ip), (self.is_proxy)(ip.to_canonical()));
        let mut by_group = self.by_group.lock();
        if let Some(known) = by_group.get(&(group, is_proxy)).and_then(Weak::upgrade) {
            return known;
        }
        let address = Arc::new(Address { all: Arc::clone(self), group, is_proxy, used: Default::default() });
        by_group.insert((group, is_proxy), Arc::downgrade(&address));
        address
    }

    /// How often something of this pool was refused.
    pub fn refused(&self, pool: AddressPool) -> u64 {
        self.refused[pool as usize].load(Relaxed)
    }
}

impl Address {
    /// Takes so much of a pool; `None` where it is not left for this address, or for all.
    pub fn take(self: &Arc<Address>, pool: AddressPool, amount: u64) -> Option<Place> {
        let (at, share) = (pool as usize, &self.all.shares[pool as usize]);
        let mine = add_within(&self.used[at], amount, if self.has_share(pool) { share.address } else { u64::MAX })?;
        if add_within(&self.all.used[at], amount, share.left_for(mine)).is_none() {
            self.used[at].fetch_sub(amount, Relaxed);
            return None;
        }
        Some(Place { address: Arc::clone(self), pool, amount: AtomicU64::new(amount) })
    }

    /// Whether all addresses together have taken half of a pool or more.
    pub fn is_half_taken(&self, pool: AddressPool) -> bool {
        self.all.used[pool as usize].load(Relaxed) >= self.all.shares[pool as usize].all.div_ceil(2)
    }

    /// The places for probes are few, so those are shared out to proxies too.
    fn has_share(&self, pool: AddressPool) -> bool {
        !self.is_proxy || pool == AddressPool::ProbeConnections
    }

    /// Counts a refusal. `Some` if it may be logged `now`; then how many were not logged before it.
    pub fn refuse(&self, pool: AddressPool, now: Duration) -> Option<u64> {
        self.all.refused[pool as usize].fetch_add(1, Relaxed);
        self.all.paces[pool as usize].admit(now)
    }

    /// The address, or the network that counts as one.
    pub fn group(&self) -> IpAddr {
        self.group.ip()
    }
}

/// The sum, unless it is beyond `max`.
fn add_within(used: &AtomicU64, amount: u64, max: u64) -> Option<u64> {
    let added = |used: u64| used.checked_add(amount).filter(|sum| *sum <= max);
    used.fetch_update(Relaxed, Relaxed, added).ok().map(|before| before + amount)
}

impl Place {
    pub fn address(&self) -> &Arc<Address> {
        &self.address
    }

    /// Gives back what is more than this.
    pub fn shrink_to(&self, amount: u64) {
        let less = |now: u64| (now > amount).then_some(amount);
        let Ok(before) = self.amount.fetch_update(Relaxed, Relaxed, less) else { return };
        let at = self.pool as usize;
        self.address.used[at].fetch_sub(before - amount, Relaxed);
        self.address.all.used[at].fetch_sub(before - amount, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        let mut by_group = self.all.by_group.lock();
        // Another account of the same address may have been begun meanwhile.
        let account = (self.group, self.is_proxy);
        if by_group.get(&account).is_some_and(|known| known.strong_count() == 0) {
            by_group.remove(&account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(share: Share) -> Arc<Addresses> {
        Addresses::new(|_| share, |ip| ip == from(9))
    }

    fn from(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn address_is_held_to_its_share() {
        let all = addresses(Share::halved(640));
        let pool = AddressPool::UnidentifiedBytes;
        let first = all.of(from(1)).take(pool, 320).expect("its share");
        assert!(all.of(from(1)).take(pool, 1).is_none(), "beyond its share");
        assert!(all.of(from(1)).take(AddressPool::Listings, 1).is_some(), "another pool");
        let second = all.of(from(2)).take(pool, 160).expect("another address");
        assert!(all.of(from(3)).take(pool, 11).is_none(), "the rest is for those with little");
        let third = all.of(from(3)).take(pool, 10).expect("it has little");
        first.shrink_to(20);
        first.shrink_to(30);
        assert!(all.of(from(1)).take(pool, 290).is_some());
        drop((first, second, third));
        assert_eq!((all.used[pool as usize].load(Relaxed), all.by_group.lock().len()), (0, 0));
    }

    #[test]
    fn trusted_proxy_is_bounded_by_the_whole_pool() {
        let all = addresses(Share::of(10, 4));
        for pool in [AddressPool::PublicStreams, AddressPool::Listings, AddressPool::UnidentifiedBytes] {
            assert!(all.of(from(1)).take(pool, 5).is_none(), "{pool:?}: any other address");
            let proxy = all.of(from(9));
            let _most = proxy.take(pool, 10).expect("all of it");
            assert!(proxy.take(pool, 1).is_none() && proxy.is_half_taken(pool), "{pool:?}");
        }
        assert!(all.of(from(9)).take(AddressPool::ProbeConnections, 5).is_none(), "probes");
    }

    #[test]
    fn ipv6_proxy_exempts_no_neighbours() {
        let proxy: IpAddr = "2001:db8::9".parse().expect("an address");
        let all = Addresses::new(|_| Share::of(10, 1), move |ip| ip == proxy);
        let _first = all.of(proxy).take(AddressPool::Listings, 5).expect("no share");
        let neighbour = all.of("2001:db8::1".parse().expect("an address"));
        assert!(
            neighbour.take(AddressPool::Listings, 2).is_none() && neighbour.take(AddressPool::Listings, 1).is_some()
        );
    }

    #[test]
    fn ipv6_network_counts_as_one_address() {
        let all = addresses(Share::of(10, 1));
        let of = |text: &str| all.of(text.parse().expect("an address"));
        let _first = of("2001:db8::1").take(AddressPool::Connections, 1).expect("its share");
        assert!(of("2001:db8::2").take(AddressPool::Connections, 1).is_none());
        assert!(of("2001:db8:0:1::1").take(AddressPool::Connections, 1).is_some());
        let _second = of("192.0.2.1").take(AddressPool::Connections, 1).expect("its share");
        assert!(of("::ffff:192.0.2.1").take(AddressPool::Connections, 1).is_none(), "IPv4 in IPv6");
    }

    #[test]
    fn refusals_are_counted_and_logged_once_a_minute() {
        let all = addresses(Share::of(1, 1));
        let address = all.of(from(1));
        let told: Vec<_> =
            [0, 1, 60].map(|at| address.refuse(AddressPool::Listings, Duration::from_secs(at))).into_iter().collect();
        assert_eq!((told, all.refused(AddressPool::Listings)), (vec![Some(0), None, Some(1)], 3));
    }
}
