//! The API keys that are valid now. A reload makes a whole new ring, so that no request sees half of one.

use std::collections::{HashMap, HashSet};

use super::{
    digest::{Keyed, KeyedDigest, Sha256Digest, sha256},
    identity::Identity,
    known_secrets::KnownSecrets,
    options::AccessError,
};

/// A key as configured: the digest of its secret, and who it makes the caller.
#[derive(Clone)]
pub(super) struct PreparedKey {
    pub digest: Sha256Digest,
    pub identity: Identity,
}

/// All keys, found by their digests under the key of this process: what a wrong guess costs does not depend on their number,
/// and its time tells nothing of how near it was.
pub(super) struct KeyRing {
    identities: Vec<Identity>,
    by_digest: HashMap<KeyedDigest, usize>,
    known: KnownSecrets,
}

impl KeyRing {
    /// A secret that is there twice has its first identity, and must give the same rights twice.
    pub(super) fn new(keys: impl IntoIterator<Item = PreparedKey>, keyed: &Keyed) -> Result<KeyRing, AccessError> {
        let (mut identities, mut by_digest) = (Vec::<Identity>::new(), HashMap::new());
        for PreparedKey { digest, identity } in keys {
            let digest = keyed.digest_of(&digest);
            match by_digest.get(&digest) {
                Some(first) => accept_twin(&identities[*first], &identity)?,
                None => {
                    by_digest.insert(digest, identities.len());
                    identities.push(identity);
                }
            }
        }
        let known = KnownSecrets::for_credentials(identities.len());
        Ok(KeyRing { identities, by_digest, known })
    }

    pub(super) fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The owner of the key with this digest.
    pub(super) fn of_digest(&self, digest: &Sha256Digest, keyed: &Keyed) -> Option<&Identity> {
        self.by_digest.get(&keyed.digest_of(digest)).map(|at| &self.identities[*at])
    }

    /// The owner of this key; `digest` is its keyed digest.
    pub(super) fn owner(&self, secret: &str, digest: &KeyedDigest, keyed: &Keyed) -> Option<Identity> {
        let at = self.known.credential_of(digest).or_else(|| {
            let at = *self.by_digest.get(&keyed.digest_of(&sha256(secret)))?;
            self.known.remember(digest, at);
            Some(at)
        })?;
        Some(self.identities[at].clone())
    }

    /// Ends the keys that are in no ring any more.
    pub(super) fn end_those_not_in(&self, next: &KeyRing) {
        let kept: HashSet<_> = next.identities.iter().map(Identity::address).collect();
        let gone = self.identities.iter().filter(|identity| !kept.contains(&identity.address()));
        gone.filter_map(|identity| identity.ending()).for_each(|ending| ending.remove());
    }
}

/// The same secret twice is harmless, unless it gives two different rights.
pub(super) fn accept_twin(first: &Identity, second: &Identity) -> Result<(), AccessError> {
    if first.has_rights_of(second) {
        return Ok(());
    }
    Err(AccessError::SameSecret { first: first.name.to_string(), second: second.name.to_string() })
}

/// A name stands for one key in logs and messages.
pub(super) fn each_name_once<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), AccessError> {
    let mut known = HashSet::new();
    match names.into_iter().find(|name| !known.insert(*name)) {
        Some(name) => Err(AccessError::SameName { name: name.to_owned() }),
        None => Ok(()),
    }
}
