//! Digests of secrets: plain SHA-256 as configured for keys, and keyed BLAKE3 for what is remembered in memory.

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

pub(super) type Sha256Digest = [u8; DIGEST_BYTES];

const DIGEST_BYTES: usize = 32;

pub(super) fn sha256(secret: &str) -> Sha256Digest {
    Sha256::digest(secret.as_bytes()).into()
}

/// Eight bytes at a time, and all of them, so that the time it takes does not say how near a guess was.
fn equal(left: &[u8; DIGEST_BYTES], right: &[u8; DIGEST_BYTES]) -> Choice {
    let (left, right) = (left.as_chunks().0, right.as_chunks().0);
    let difference = left
        .iter()
        .zip(right)
        .fold(0, |all, (left, right)| all | (u64::from_ne_bytes(*left) ^ u64::from_ne_bytes(*right)));
    difference.ct_eq(&0)
}

/// BLAKE3 under a random key of this process. No client can steer such a digest, so it may index a
/// table; and a dump of that table is of no use without the key. Every request pays for one, and on a
/// processor without instructions for SHA-256 this costs a fraction of that.
pub(super) struct Keyed {
    key: [u8; blake3::KEY_LEN],
}

impl Keyed {
    pub(super) fn new() -> Result<Keyed, getrandom::Error> {
        let mut key = [0; blake3::KEY_LEN];
        getrandom::fill(&mut key)?;
        Ok(Keyed { key })
    }

    pub(super) fn digest(&self, secret: &str) -> KeyedDigest {
        KeyedDigest(blake3::keyed_hash(&self.key, secret.as_bytes()).into())
    }

    /// Of what a key is configured by.
    pub(super) fn digest_of(&self, digest: &Sha256Digest) -> KeyedDigest {
        KeyedDigest(blake3::keyed_hash(&self.key, digest).into())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyedDigest([u8; DIGEST_BYTES]);

impl KeyedDigest {
    pub(super) fn matches(&self, other: &KeyedDigest) -> bool {
        equal(&self.0, &other.0).into()
    }

    /// A table index: uniform and unpredictable, because the digest is.
    pub(super) fn slot(&self) -> usize {
        let mut first = [0; size_of::<usize>()];
        first.copy_from_slice(&self.0[..size_of::<usize>()]);
        usize::from_le_bytes(first)
    }
}
