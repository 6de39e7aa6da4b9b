//! What has been learnt about presented secrets: which are right, from where, and which are known to be wrong.
//! Only keyed digests are kept, and all of it is bounded.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
    sync::OnceLock,
};

use super::{digest::KeyedDigest, throttle::AddressGroup};
use parking_lot::RwLock;

/// Secrets that have opened before, with the credential they belong to.
///
/// A credential has one secret, so one place per credential is bound enough and nothing is ever evicted:
/// a valid secret, once seen, stays cheap. Half of the table stays free, which keeps probing short.
/// Reads take no lock.
pub(super) struct KnownSecrets {
    slots: Box<[OnceLock<(KeyedDigest, usize)>]>,
}

impl KnownSecrets {
    pub(super) fn for_credentials(count: usize) -> KnownSecrets {
        let size = (2 * count.max(1)).next_power_of_two();
        KnownSecrets { slots: (0..size).map(|_| OnceLock::new()).collect() }
    }

    pub(super) fn credential_of(&self, digest: &KeyedDigest) -> Option<usize> {
        self.probe(digest)
            .map_while(OnceLock::get)
            .find(|(known, _)| known.matches(digest))
            .map(|(_, credential)| *credential)
    }

    /// If the table were full, the secret would not be kept, and checking it would only be slower.
    pub(super) fn remember(&self, digest: &KeyedDigest, credential: usize) {
        for slot in self.probe(digest) {
            let (taken, _) = slot.get_or_init(|| (*digest, credential));
            if taken.matches(digest) {
                return;
            }
        }
    }

    fn probe(&self, digest: &KeyedDigest) -> impl Iterator<Item = &OnceLock<(KeyedDigest, usize)>> {
        let mask = self.slots.len() - 1;
        let first = digest.slot();
        (0..self.slots.len()).map(move |step| &self.slots[first.wrapping_add(step) & mask])
    }
}

/// The latest passwords that verification found wrong. Credentials never change while the process runs, so
/// wrong stays wrong; a client that repeats one wrong password for ever then costs no verification, and
/// does not delay valid clients at the same address.
pub(super) type RefusedSecrets = Latest<KeyedDigest>;

/// The latest addresses from which a password was accepted, each with its credential: it stays accepted there, however
/// often others fail from the same address.
pub(super) type ProvedAddresses = Latest<(AddressGroup, usize)>;

/// The latest of what was remembered, up to a number.
pub(super) struct Latest<T> {
    capacity: usize,
    kept: RwLock<Kept<T>>,
}

struct Kept<T> {
    all: HashSet<T>,
    oldest_first: VecDeque<T>,
}

impl<T: Copy + Eq + Hash> Latest<T> {
    pub(super) fn new(capacity: usize) -> Latest<T> {
        let kept = Kept { all: HashSet::new(), oldest_first: VecDeque::new() };
        Latest { capacity, kept: RwLock::new(kept) }
    }

    pub(super) fn contains(&self, item: &T) -> bool {
        self.kept.read().all.contains(item)
    }

    pub(super) fn remember(&self, item: T) {
        let mut kept = self.kept.write();
        if !kept.all.insert(item) {
            return;
        }
        kept.oldest_first.push_back(item);
        if kept.oldest_first.len() > self.capacity
            && let Some(oldest) = kept.oldest_first.pop_front()
        {
            kept.all.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.read().all.len()
    }
}
