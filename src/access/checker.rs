//! The checker: presented secrets and an address in, a verdict out.
//!
//! What a flood of wrong credentials can cost is bounded at every step. A valid key, or a password that
//! has opened before, takes one digest and no lock. Anything else takes two, and a password hash is
//! computed only for a secret that *could* still be right: while some configured password has not been
//! seen yet (a hash has one password, so once that is known, no other needs verifying), if the secret was
//! not refused lately, if the gate has a place, and at most once a second for a throttled address. So a
//! password that this process has never met, behind an address that is throttled at this very moment,
//! may be told to come back in a second; every other valid credential always passes.

use std::{
    fmt,
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{
    credential::{AccessError, Credential, Password, Proof},
    digest::{Keyed, KeyedDigest, Sha256Digest, position, sha256},
    gate::{Admission, Entered, Gate},
    identity::Identity,
    memory::{KnownSecrets, RefusedSecrets},
    options::{AccessOptions, Verdict},
    throttle::{AddressGroup, Throttle},
};

/// A request has three places for a secret; whoever sends more is not a client of ours.
const MAX_PRESENTED: usize = 4;
/// For an attempt that could not be judged now: a second is when the next one may be.
const RETRY_SOON: Verdict = Verdict::Throttled { retry_after_seconds: 1 };

/// All credentials of the server.
pub struct Access {
    /// By credential, in the order given.
    identities: Vec<Identity>,
    anonymous: Identity,
    keys: Keys,
    passwords: Vec<PasswordProof>,
    keyed: Keyed,
    known: KnownSecrets,
    refused: RefusedSecrets,
    throttle: Throttle,
    gate: Gate,
}

/// The digests stand by themselves so that one pass can compare them all.
#[derive(Default)]
struct Keys {
    digests: Vec<Sha256Digest>,
    credentials: Vec<usize>,
}

struct PasswordProof {
    credential: usize,
    password: Box<Password>,
    /// Its secret has been seen: no other can be right.
    is_known: AtomicBool,
}

enum Judged {
    Right(usize),
    Wrong,
    NotNow,
}

impl Access {
    pub fn new(credentials: Vec<Credential>, options: AccessOptions) -> Result<Access, AccessError> {
        options.validate()?;
        let random = |error: getrandom::Error| AccessError::Random { problem: error.to_string() };
        let mut access = Access {
            identities: Vec::with_capacity(credentials.len()),
            anonymous: Identity::anonymous(options.anonymous_role),
            keys: Keys::default(),
            passwords: Vec::new(),
            keyed: Keyed::new().map_err(random)?,
            known: KnownSecrets::for_credentials(credentials.len()),
            refused: RefusedSecrets::new(options.max_refused),
            throttle: Throttle::new(options.failures_per_window, options.window, options.max_addresses),
            gate: Gate::new(options.max_verifications),
        };
        for credential in credentials {
            access.add(credential)?;
        }
        Ok(access)
    }

    /// No credential is configured: presented ones are ignored, and everybody is anonymous.
    pub fn is_open(&self) -> bool {
        self.identities.is_empty()
    }

    /// The verdict, unless a password must be verified for it. Never blocks, costs under a microsecond.
    /// On `None` call [`Access::check`] where blocking is allowed.
    ///
    /// `presented` holds every secret that the request carries; any valid one opens. `now` is monotonic
    /// time since the process started.
    pub fn check_fast(&self, presented: &[&str], from: IpAddr, now: Duration) -> Option<Verdict> {
        if self.is_open() {
            return Some(Verdict::Granted(self.anonymous.clone()));
        }
        let presented = &presented[..presented.len().min(MAX_PRESENTED)];
        if presented.is_empty() {
            return Some(Verdict::Missing);
        }
        let address = AddressGroup::from(from);
        let (mut undecided, mut may_be_judged) = (false, false);
        for secret in presented {
            match self.look_up(secret) {
                Some(Judged::Right(credential)) => return Some(self.grant(credential)),
                Some(_) => {}
                None => {
                    undecided = true;
                    may_be_judged |= self.may_be_judged(secret, address, now);
                }
            }
        }
        match (undecided, may_be_judged) {
            (false, _) => Some(self.failed(address, now)),
            (true, true) => None,
            // Another request may have proved the same secret since the look above.
            (true, false) => Some(self.granted(presented).unwrap_or(RETRY_SOON)),
        }
    }

    /// The verdict. May block for the time of a few password verifications (tens of milliseconds each, up
    /// to 16 queued), so an async caller asks [`Access::check_fast`] first and runs this on a blocking thread.
    /// Requests with the same password wait here for one verification of it, so such a caller should also
    /// bound, with an async semaphore, how many threads it lends to this.
    pub fn check(&self, presented: &[&str], from: IpAddr, now: Duration) -> Verdict {
        if let Some(verdict) = self.check_fast(presented, from, now) {
            return verdict;
        }
        let address = AddressGroup::from(from);
        let mut all_judged = true;
        for secret in presented.iter().take(MAX_PRESENTED) {
            match self.judge(secret, address, now) {
                Judged::Right(credential) => return self.grant(credential),
                Judged::Wrong => {}
                Judged::NotNow => all_judged = false,
            }
        }
        if all_judged { self.failed(address, now) } else { RETRY_SOON }
    }

    fn add(&mut self, credential: Credential) -> Result<(), AccessError> {
        let (identity, proof) = credential.prepare()?;
        let credential = self.identities.len();
        match proof {
            Proof::Password(password) => {
                let is_known = AtomicBool::new(false);
                self.passwords.push(PasswordProof { credential, password, is_known });
            }
            Proof::Key(digest) => {
                if let Some(same) = position(&self.keys.digests, &digest) {
                    return self.accept_twin(self.keys.credentials[same], &identity);
                }
                self.keys.digests.push(digest);
                self.keys.credentials.push(credential);
            }
        }
        self.identities.push(identity);
        Ok(())
    }

    /// The same secret twice is harmless, unless nobody could say which rights it gives.
    fn accept_twin(&self, first: usize, second: &Identity) -> Result<(), AccessError> {
        let first = &self.identities[first];
        if first.has_rights_of(second) {
            return Ok(());
        }
        Err(AccessError::SameSecret { first: first.name.to_string(), second: second.name.to_string() })
    }

    fn granted(&self, presented: &[&str]) -> Option<Verdict> {
        let credential = presented.iter().find_map(|secret| self.recognise(secret))?;
        Some(self.grant(credential))
    }

    fn grant(&self, credential: usize) -> Verdict {
        Verdict::Granted(self.identities[credential].clone())
    }

    fn failed(&self, address: AddressGroup, now: Duration) -> Verdict {
        match self.throttle.fail(address, now) {
            None => Verdict::Wrong,
            Some(retry_after_seconds) => Verdict::Throttled { retry_after_seconds },
        }
    }

    /// The credential of a secret that is known, or is a key.
    fn recognise(&self, secret: &str) -> Option<usize> {
        let digest = self.keyed.digest(secret);
        self.known.credential_of(&digest).or_else(|| {
            let key = position(&self.keys.digests, &sha256(secret))?;
            let credential = self.keys.credentials[key];
            self.known.remember(&digest, credential);
            Some(credential)
        })
    }

    /// The judgement that needs no verification, if there is one.
    fn look_up(&self, secret: &str) -> Option<Judged> {
        // Read first: a password becomes known only after its secret can be recognised, so when all are
        // known here, then what is not recognised below is wrong.
        let all_passwords_known = self.unknown_passwords().next().is_none();
        if let Some(credential) = self.recognise(secret) {
            return Some(Judged::Right(credential));
        }
        let is_wrong = all_passwords_known || secret.is_empty() || self.refused.contains(&self.keyed.digest(secret));
        is_wrong.then_some(Judged::Wrong)
    }

    fn may_be_judged(&self, secret: &str, address: AddressGroup, now: Duration) -> bool {
        // Read first: turns are taken and jobs queued in one step, so if another request took the
        // last turn for this same secret, the gate shows its job, or the job has ended.
        let has_turn = self.throttle.may_verify(address, now);
        match self.gate.admission(&self.keyed.digest(secret), address) {
            Admission::Join => true,
            Admission::Queue => has_turn,
            Admission::Full => false,
        }
    }

    fn judge(&self, secret: &str, address: AddressGroup, now: Duration) -> Judged {
        let digest = self.keyed.digest(secret);
        loop {
            if let Some(judged) = self.look_up(secret) {
                return judged;
            }
            let may_start = || self.throttle.take_verification(address, now);
            // Whoever had this secret's turn before wrote down what they learnt before the turn ended.
            match self.gate.enter(digest, address, may_start) {
                Entered::Joined => {}
                Entered::Turn(_turn) => {
                    let judged = self.look_up(secret);
                    return judged.unwrap_or_else(|| self.verify(secret, digest));
                }
                Entered::Refused => return self.look_up(secret).unwrap_or(Judged::NotNow),
            }
        }
    }

    /// Computes the hashes. Runs inside a turn, and writes down what it learns before the turn ends.
    fn verify(&self, secret: &str, digest: KeyedDigest) -> Judged {
        let mut all_judged = true;
        for proof in self.unknown_passwords() {
            match proof.password.verify(secret) {
                Some(true) => {
                    self.known.remember(&digest, proof.credential);
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
        self.refused.remember(digest);
        Judged::Wrong
    }

    fn unknown_passwords(&self) -> impl Iterator<Item = &PasswordProof> {
        let unknown = |proof: &&PasswordProof| !proof.is_known.load(Ordering::Acquire);
        self.passwords.iter().filter(unknown)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("identities", &self.identities).finish_non_exhaustive()
    }
}
