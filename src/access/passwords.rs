//! The configured passwords, and what has been found out about those presented.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{credential::Password, digest::KeyedDigest};
use crate::base::bounded_map::BoundedMap;
use parking_lot::RwLock;

pub(super) struct Passwords {
    proofs: Vec<PasswordProof>,
    /// Those that verification found wrong lately. Passwords never change while the process runs, so wrong stays wrong; a
    /// client that repeats one wrong password for ever then costs no verification, and does not delay valid clients at the
    /// same address.
    refused: RwLock<BoundedMap<KeyedDigest, ()>>,
}

struct PasswordProof {
    credential: usize,
    hash: Box<Password>,
    /// Its secret has been seen: no other can be right.
    is_known: AtomicBool,
}

/// What is known of a presented secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It is this password.
    Right(usize),
    Wrong,
    NotNow,
}

impl Passwords {
    pub(super) fn new(max_refused: usize) -> Passwords {
        Passwords { proofs: Vec::new(), refused: RwLock::new(BoundedMap::new(max_refused)) }
    }

    pub(super) fn add(&mut self, credential: usize, hash: Box<Password>) {
        self.proofs.push(PasswordProof { credential, hash, is_known: AtomicBool::new(false) });
    }

    pub(super) fn are_any(&self) -> bool {
        !self.proofs.is_empty()
    }

    /// Each password has been seen, so that any other secret is wrong.
    pub(super) fn all_known(&self) -> bool {
        self.unknown().next().is_none()
    }

    /// Verified lately, and wrong.
    pub(super) fn has_refused(&self, digest: &KeyedDigest) -> bool {
        self.refused.read().contains(digest)
    }

    /// Computes the hashes of the passwords that were not seen yet. `learn` gets the owner of the secret before the
    /// password counts as known.
    pub(super) fn verify(&self, secret: &str, digest: KeyedDigest, learn: impl Fn(usize)) -> Judged {
        let mut all_judged = true;
        for proof in self.unknown() {
            match proof.hash.verify(secret) {
                Some(true) => {
                    learn(proof.credential);
                    proof.is_known.store(true, Ordering::Release);
                    return Judged::Right(proof.credential);
                }
                Some(false) => {}
                None => all_judged = false,
            }
        }
        if !all_judged {
            return Judged::NotNow;
        }
        self.refused.write().get_or_insert(digest, ());
        Judged::Wrong
    }

    fn unknown(&self) -> impl Iterator<Item = &PasswordProof> {
        self.proofs.iter().filter(|proof| !proof.is_known.load(Ordering::Acquire))
    }
}
