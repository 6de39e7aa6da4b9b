//! Digests of secrets: plain SHA-256 as configured for keys, and keyed for what is remembered in memory.

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

pub(super) type Sha256Digest = [u8; 32];

pub(super) fn sha256(secret: &str) -> Sha256Digest {
    Sha256::digest(secret.as_bytes()).into()
}

/// Where `wanted` stands in `table`. Looks at every byte of every row, so that the time it takes
/// does not say how near a guess was.
pub(super) fn position(table: &[Sha256Digest], wanted: &Sha256Digest) -> Option<usize> {
    const NOWHERE: u64 = u64::MAX;
    let mut found = NOWHERE;
    for (index, row) in (0u64..).zip(table) {
        found.conditional_assign(&index, equal(row, wanted));
    }
    usize::try_from(found).ok().filter(|index| *index < table.len())
}

/// Eight bytes at a time: comparing a wrong key with many configured ones must stay cheap as well.
fn equal(left: &Sha256Digest, right: &Sha256Digest) -> Choice {
    let (left, right) = (left.as_chunks().0, right.as_chunks().0);
    let difference = left
        .iter()
        .zip(right)
        .fold(0, |all, (left, right)| all | (u64::from_ne_bytes(*left) ^ u64::from_ne_bytes(*right)));
    difference.ct_eq(&0)
}

/// SHA-256 under a random key of this process. Nobody outside can steer such a digest, so it may index a
/// table; and a dump of that table is of no use without the key.
pub(super) struct Keyed {
    /// The key fills one SHA-256 block, so this is the state after it: a secret of up to 55 bytes then
    /// costs one compression. Extending a message, the weakness of a key put in front, needs a digest
    /// that the attacker can see, and these never leave the process.
    after_key: Sha256,
}

impl Keyed {
    pub(super) fn new() -> Result<Keyed, getrandom::Error> {
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        Ok(Keyed { after_key: Sha256::new_with_prefix(key) })
    }

    pub(super) fn digest(&self, secret: &str) -> KeyedDigest {
        let digest = self.after_key.clone().chain_update(secret.as_bytes());
        KeyedDigest(digest.finalize().into())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyedDigest(Sha256Digest);

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
