//! What has been learnt about presented secrets: which are right, and which are known to be wrong.
//! Both hold keyed digests only, and both are bounded.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::digest::KeyedDigest;

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

    /// A full table (it cannot be, see above) forgets the newcomer, which is then only slower to check.
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
/// takes no turn from a valid one behind the same address.
pub(super) struct RefusedSecrets {
    capacity: usize,
    refused: Mutex<Refused>,
}

#[derive(Default)]
struct Refused {
    digests: HashSet<KeyedDigest>,
    oldest_first: VecDeque<KeyedDigest>,
}

impl RefusedSecrets {
    pub(super) fn new(capacity: usize) -> RefusedSecrets {
        RefusedSecrets { capacity, refused: Mutex::default() }
    }

    pub(super) fn contains(&self, digest: &KeyedDigest) -> bool {
        self.lock().digests.contains(digest)
    }

    pub(super) fn remember(&self, digest: KeyedDigest) {
        let mut refused = self.lock();
        if !refused.digests.insert(digest) {
            return;
        }
        refused.oldest_first.push_back(digest);
        if refused.oldest_first.len() > self.capacity
            && let Some(oldest) = refused.oldest_first.pop_front()
        {
            refused.digests.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().digests.len()
    }
}
