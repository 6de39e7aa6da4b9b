//! The secrets that were right. Only keyed digests are kept, and their number is bounded.

use std::sync::OnceLock;

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
