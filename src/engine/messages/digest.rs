//! The digest of one node's table, and the leader's verdict on it.

use crate::base::byte_enum;

/// The digest of a table at one index of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableDigest {
    pub index: u64,
    /// Nodes with another interval or feature level take other digests, which are not compared.
    pub every_ms: u64,
    pub level: u32,
    pub digest: [u8; 32],
}

byte_enum! {
    /// What the leader says of a digest.
    pub enum Verdict {
        /// Nothing is known against it.
        Agrees = 0,
        /// Undecided: the node asks again.
        Open = 1,
        /// A majority has another digest, or no digest has a majority.
        Differs = 2,
    }
}
