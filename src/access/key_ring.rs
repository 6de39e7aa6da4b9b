//! The API keys that are valid now. A reload makes a whole new ring, so that no request sees half of one.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{
    certificate::CertificateName,
    digest::{Keyed, KeyedDigest, Sha256Digest, sha256},
    identity::Identity,
    known_secrets::KnownSecrets,
    options::AccessError,
    reserved_names::is_reserved,
};
use crate::base::is_invisible;

/// A key as configured: the digest of its secret, and who it makes the caller.
#[derive(Clone)]
pub(super) struct PreparedKey {
    pub digest: Sha256Digest,
    pub identity: Identity,
}

/// All keys, found by their digests under the key of this process: what a wrong guess costs does not depend on their number,
/// and its time tells nothing of how near it was.
pub(super) struct KeyRing {
    /// No other ring of this process has it.
    pub number: u64,
    identities: Vec<Identity>,
    by_digest: HashMap<KeyedDigest, usize>,
    known: KnownSecrets,
    /// The callers that certificates make.
    mapped: Vec<PreparedRule>,
    by_certificate_name: HashMap<CertificateName, usize>,
}

/// What certificates with one of these names make the caller.
#[derive(Clone)]
pub(super) struct PreparedRule {
    pub names: Vec<CertificateName>,
    pub identity: Identity,
}

impl KeyRing {
    /// A secret that is there twice has its first identity, and must give the same rights twice.
    pub(super) fn new(
        keys: impl IntoIterator<Item = PreparedKey>,
        mapped: Vec<PreparedRule>,
        keyed: &Keyed,
    ) -> Result<KeyRing, AccessError> {
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
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (number, known) = (NEXT.fetch_add(1, Relaxed), KnownSecrets::for_credentials(identities.len()));
        let mut by_certificate_name = HashMap::new();
        for (at, rule) in mapped.iter().enumerate() {
            for name in &rule.names {
                if by_certificate_name.insert(name.clone(), at).is_some_and(|before| before != at) {
                    return Err(AccessError::SameCertificateName { name: rule.identity.name.to_string() });
                }
            }
        }
        Ok(KeyRing { number, identities, by_digest, known, mapped, by_certificate_name })
    }

    /// This rule, if it is there with the same names.
    pub(super) fn same_rule(&self, rule: &PreparedRule) -> Option<&PreparedRule> {
        // No two rules share a name.
        let old = &self.mapped[*self.by_certificate_name.get(rule.names.first()?)?];
        (old.names == rule.names && old.identity.is_caller_of(&rule.identity)).then_some(old)
    }

    /// The one caller that a certificate with these names makes; none where two are meant.
    pub(super) fn of_certificate(&self, names: &[CertificateName]) -> Option<&Identity> {
        let mut found = names.iter().filter_map(|name| self.by_certificate_name.get(name));
        let first = found.next()?;
        found.all(|other| other == first).then(|| &self.mapped[*first].identity)
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

    pub(super) fn callers(&self) -> impl Iterator<Item = &Identity> {
        self.identities.iter().chain(self.mapped.iter().map(|rule| &rule.identity))
    }

    /// Ends the keys and certificates that are in no ring any more.
    pub(super) fn end_those_not_in(&self, next: &KeyRing) {
        let kept: HashSet<_> = next.callers().map(Identity::address).collect();
        let gone = self.callers().filter(|identity| !kept.contains(&identity.address()));
        gone.filter_map(|identity| identity.ending()).for_each(|ending| ending.remove());
    }
}

/// The same secret twice is refused where it gives two different rights, and else told: whoever takes one away may think that
/// it opens no more.
pub(super) fn accept_twin(first: &Identity, second: &Identity) -> Result<(), AccessError> {
    if first.has_rights_of(second) {
        let (first, second) = (&*first.name, &*second.name);
        tracing::warn!(
            first,
            second,
            "the credentials {first:?} and {second:?} have one secret: its caller is {first:?}, and it opens until both are gone"
        );
        return Ok(());
    }
    Err(AccessError::SameSecret { first: first.name.to_string(), second: second.name.to_string() })
}

/// Refuses, for a key or the callers that certificates make, a name that latchd gives to callers by itself, and one that could be
/// taken for another or break a line of a log.
pub fn check_name(name: &str) -> Result<(), AccessError> {
    match name {
        name if is_reserved(name) => Err(AccessError::ReservedName { name: name.to_owned() }),
        name if name.contains(is_invisible) => Err(AccessError::InvisibleInName { name: name.to_owned() }),
        _ => Ok(()),
    }
}

/// A name stands for one caller in logs and messages.
pub(super) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), AccessError> {
    let mut known = HashSet::new();
    names.into_iter().try_for_each(|name| {
        check_name(name)?;
        match known.insert(name) {
            true => Ok(()),
            false => Err(AccessError::SameName { name: name.to_owned() }),
        }
    })
}
