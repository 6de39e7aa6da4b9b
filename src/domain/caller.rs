//! The caller of a command, as the table records it: for ownership of sessions and for quotas.

/// Two numbers computed outside the domain; 0 stands for an unknown one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Caller {
    /// A digest of the credential; 0 without authentication, and in logs of older releases.
    pub credential: u64,
    /// The group of addresses: an IPv4 address, or the /64 of an IPv6 address.
    pub address: u64,
}

impl Caller {
    pub const NOBODY: Caller = Caller { credential: 0, address: 0 };
}
