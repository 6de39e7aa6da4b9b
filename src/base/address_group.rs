//! Addresses in groups: a client with one IPv6 address has its whole /64, so they count as one.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or the first of a /64. An IPv4-mapped IPv6 address counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressGroup(IpAddr);

impl From<IpAddr> for AddressGroup {
    fn from(address: IpAddr) -> AddressGroup {
        AddressGroup(match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        })
    }
}

impl AddressGroup {
    /// The address, or the first of its network.
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// No two groups have the same: what is reserved at the beginning of IPv6 stands for IPv4. Never 0.
    pub fn number(self) -> u64 {
        const IPV4: u64 = 0xffff << 32;
        match self.0 {
            IpAddr::V4(v4) => IPV4 | u64::from(v4.to_bits()),
            IpAddr::V6(v6) => ((v6.to_bits() >> 64) as u64).max(1),
        }
    }
}
