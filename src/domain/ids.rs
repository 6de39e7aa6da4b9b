//! Identifiers of locks, sessions, holds, waiters, nodes, commands and callers.

use crate::base::byte_enum;
use crate::base::codec::hex;
use sha2::{Digest, Sha256};
use std::fmt;

/// A lock's name: any UTF-8 text without NUL, compared byte by byte. As small as a pointer, because the table and its
/// indexes have each name several times.
pub type Name = arcstr::ArcStr;

/// 128 bits in the order of a UUID's bytes. Byte array, not `u128`: the tables stay 8-byte aligned.
macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            /// 32 lower-case hex digits.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            /// Keys and session ids are secrets: only a short prefix is shown.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:02x}{:02x}…)"), self.0[0], self.0[1])
            }
        }
    };
}

id128! {
    /// Identifies one hold and proves the right to renew or release it. Generated outside the domain.
    HoldKey
}
id128! {
    /// Identifies a session and proves the right to use it.
    SessionId
}
id128! {
    /// Identifies a data directory: chosen at random when the directory is created.
    StoreId
}
id128! {
    /// Identifies a request across its attempts: a digest of the caller and of the idempotency key.
    IdempotencyId
}
id128! {
    /// A digest of the whole request: tells a retry from another request under the same key.
    BodyDigest
}

impl SessionId {
    /// The name of the session in listings and logs: a short digest of the id, which is the owner's only credential. Its 128
    /// random bits cannot be found from a digest.
    pub fn handle(self) -> String {
        let digest = Sha256::new_with_prefix(b"latchd session ").chain_update(self.0).finalize();
        hex(&digest[..6])
    }
}

impl HoldKey {
    /// The name of a waiter on pages: a short digest of the key, which is its client's secret.
    pub fn handle(self) -> String {
        let digest = Sha256::new_with_prefix(b"latchd waiter ").chain_update(self.0).finalize();
        hex(&digest[..6])
    }
}

impl StoreId {
    /// Logs from before there were clusters do not name the store.
    pub const UNKNOWN: StoreId = StoreId([0; 16]);
}

/// The idempotency key of a request, as the table keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdempotencyKey {
    pub id: IdempotencyId,
    pub body: BodyDigest,
}

/// A fencing token: rises with every grant of the whole service and is never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

impl Token {
    /// Tokens stay below 2^53 so that JSON readers with doubles keep them exact.
    pub const END: u64 = 1 << 53;

    /// Milliseconds since 1970 times this is where the tokens of a new table begin, and where each leadership raises them to:
    /// room for a million grants a second before a service that lost its data could give a token again, and for a restart
    /// within a millisecond or two. 2^53 is reached in the year 2248.
    pub const PER_MS: u64 = 1 << 10;
}

/// A waiter's number, in order of arrival in the whole service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WaiterId(pub u64);

/// A member of the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of one node's process: a restart is a new incarnation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Incarnation(pub u64);

/// Identifies a command: the incarnation that submitted it, and a number that rises within that incarnation, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommandId {
    pub incarnation: Incarnation,
    pub sequence: u64,
}

/// The caller of a command, as the table records it for ownership of sessions and for quotas: two numbers computed outside
/// the domain, 0 for an unknown one.
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

/// Declares each dialect once: variant, byte in the log and in snapshots, name in JSON and metrics.
macro_rules! dialects {
    ($($(#[$doc:meta])* $variant:ident = $byte:literal, $name:literal;)*) => {
        byte_enum! {
            /// The wire dialect through which a hold was taken. Bytes and names are never reused.
            pub enum Dialect {
                $($(#[$doc])* $variant = $byte,)*
            }
        }

        impl Dialect {
            /// The name in JSON, metrics and in the console.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Dialect::$variant => $name,)*
                }
            }
        }
    };
}

dialects! {
    /// LDLM's REST sessions API, the native one.
    LdlmRest = 0, "sessions-v1";
    /// DoubleDutch's GET_LOCK style.
    DoubleDutch = 1, "get-lock";
    /// RaftLock's lock/unlock JSON.
    RaftLockRest = 2, "lock-unlock";
    /// lockd's lock by name.
    LockdRest = 3, "lock-by-name";
    /// LDLM's gRPC service.
    LdlmGrpc = 4, "ldlm-grpc";
    /// kufuli's gRPC service.
    Kufuli = 5, "kufuli";
    /// lockd's gRPC service.
    LockdGrpc = 6, "lockd-grpc";
    /// RaftLock's gRPC service.
    RaftLockGrpc = 7, "raftlock";
    /// Terraform's and OpenTofu's `http` backend.
    Terraform = 8, "terraform";
    /// The lock commands and scripts of Redis.
    Redis = 9, "redis";
}

impl Dialect {
    /// Whether its owner labels prove the right to release, and so are shown to nobody.
    pub fn has_secret_labels(self) -> bool {
        self == Dialect::Redis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_handle_is_stable_and_differs_between_ids() {
        let id = SessionId(*b"0123456789abcdef");
        assert_eq!(id.handle(), id.handle());
        assert_ne!(id.handle(), SessionId(*b"0123456789abcdeg").handle());
        assert_eq!(id.handle().len(), 12);
    }
}
