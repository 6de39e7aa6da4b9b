//! Identities: what names a lock, a session, a hold, a waiter and a command.

use std::fmt;
use std::sync::Arc;

/// A lock's name: any UTF-8 text without NUL, compared byte by byte.
pub type Name = Arc<str>;

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
            /// Keys and session ids are secrets: only a short prefix is ever shown.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:02x}{:02x}…)"), self.0[0], self.0[1])
            }
        }
    };
}

id128! {
    /// Identifies one hold, and proves the right to renew or release it. Made outside the domain.
    HoldKey
}
id128! {
    /// Identifies a session; whoever knows it, owns it.
    SessionId
}
id128! {
    /// Identifies a data directory: drawn at random when it is made.
    StoreId
}
id128! {
    /// Identifies a request across its attempts: a digest of who asks and of the idempotency key.
    RequestId
}
id128! {
    /// A digest of all that a request asks for, to tell a retry from another request under the same key.
    BodyDigest
}

impl StoreId {
    /// Not known yet: logs from before there were clusters do not say.
    pub const UNKNOWN: StoreId = StoreId([0; 16]);
}

/// The idempotency key of a request, as the table keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdempotencyKey {
    pub id: RequestId,
    pub body: BodyDigest,
}

/// A fencing token: rises with every grant of the whole service and is never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

impl Token {
    /// Tokens stay below 2^53 so that JSON readers with doubles keep them exact.
    pub const END: u64 = 1 << 53;
}

/// A waiter's place of arrival in the whole service.
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

/// One run of one node's process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Incarnation(pub u64);

/// Identifies a command: the node's run that made it and a number that rises within that run, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommandId {
    pub incarnation: Incarnation,
    pub sequence: u64,
}

/// Declares the dialects once: variant, byte in the log and in snapshots, name in JSON and metrics.
macro_rules! dialects {
    ($($(#[$doc:meta])* $variant:ident = $byte:literal, $text:literal;)*) => {
        /// The wire dialect through which a hold was taken. Bytes and names are never reused.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Dialect {
            $($(#[$doc])* $variant = $byte,)*
        }

        impl Dialect {
            pub const ALL: &[Dialect] = &[$(Dialect::$variant),*];

            /// The name in JSON, metrics and on the status page.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Dialect::$variant => $text,)*
                }
            }

            pub(super) fn from_u8(byte: u8) -> Option<Dialect> {
                match byte {
                    $($byte => Some(Dialect::$variant),)*
                    _ => None,
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
}
