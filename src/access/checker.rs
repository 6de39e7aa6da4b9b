//! The checker: presented secrets and an address in, a verdict out.
//!
//! What a flood of wrong credentials can cost is bounded at every step. A valid key takes one digest and no lock; so
//! does a password where it has opened before. Anything else takes two, and a password hash is computed only for a
//! secret that *could* still be right: while some configured password has not been seen yet (a hash has one password,
//! so once that is known, no other needs verifying), if the secret was not refused lately, and if the gate has a place.
//! From a throttled address one password is judged a second, right or wrong, computed or not: guesses are no faster
//! because the password is known. Where the password has opened before it goes on to open, whatever others do there.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use super::{
    credential::{Credential, Proof},
    digest::{Keyed, Sha256Digest, position, sha256},
    gate::{Admission, Gate},
    identity::{Identity, Role},
    known_secrets::KnownSecrets,
    options::{AccessError, AccessOptions, Verdict},
    passwords::{Judged, Passwords},
    throttle::Throttle,
};
use crate::base::address_group::AddressGroup;
use crate::base::bounded_map::BoundedMap;
use parking_lot::RwLock;

/// A request has three places for a secret; a request with more is no client's.
const MAX_PRESENTED: usize = 4;
/// For an attempt that could not be judged now: a second is when the next one may be.
const RETRY_SOON: Verdict = Verdict::Throttled { retry_after_seconds: 1 };

/// All credentials of the server.
pub struct Access {
    /// By credential, in the order given.
    identities: Vec<Identity>,
    anonymous: Identity,
    anonymous_elsewhere: Identity,
    keys: Keys,
    passwords: Passwords,
    keyed: Keyed,
    known: KnownSecrets,
    /// The addresses from which a password was accepted lately, each with its credential: it stays accepted there, however
    /// often others fail from the same address.
    proved: RwLock<BoundedMap<(AddressGroup, usize), ()>>,
    throttle: Throttle,
    gate: Gate<Judged>,
}

/// The digests stand by themselves so that one pass can compare them all.
#[derive(Default)]
struct Keys {
    digests: Vec<Sha256Digest>,
    credentials: Vec<usize>,
}

impl Access {
    /// Takes tens of milliseconds for each plain password.
    pub fn new(credentials: Vec<Credential>, options: AccessOptions) -> Result<Access, AccessError> {
        options.validate()?;
        each_key_has_its_name(&credentials)?;
        let random = |error: getrandom::Error| AccessError::Random { problem: error.to_string() };
        let mut access = Access {
            identities: Vec::with_capacity(credentials.len()),
            anonymous: Identity::anonymous(options.anonymous_role),
            anonymous_elsewhere: Identity::anonymous(Role::Client),
            keys: Keys::default(),
            passwords: Passwords::new(options.max_refused),
            keyed: Keyed::new().map_err(random)?,
            known: KnownSecrets::for_credentials(credentials.len()),
            proved: RwLock::new(BoundedMap::new(options.max_addresses)),
            throttle: Throttle::new(options.failures_per_window, options.window, options.max_addresses),
            gate: Gate::new(options.max_verifications),
        };
        let mut given = HashMap::new();
        for credential in credentials {
            access.add(credential, &mut given)?;
        }
        Ok(access)
    }

    /// No credential is configured: presented ones are ignored, and everybody is anonymous.
    pub fn is_open(&self) -> bool {
        self.identities.is_empty()
    }

    /// What a caller without a name is. Only one on this machine itself may be an admin.
    pub fn anonymous(&self, is_on_this_machine: bool) -> &Identity {
        if is_on_this_machine { &self.anonymous } else { &self.anonymous_elsewhere }
    }

    /// The verdict, unless a password must be judged for it. Never blocks, costs under a microsecond.
    /// On `None` call [`Access::check`].
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
            match self.look_up(secret, address, now) {
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
            (true, false) => Some(self.granted(presented, address, now).unwrap_or(RETRY_SOON)),
        }
    }

    /// The verdict. May wait for a few password verifications of tens of milliseconds each; those with the same
    /// password wait for one. `call_worker` has [`Access::work`] run on a thread where blocking is allowed.
    pub async fn check(
        &self,
        presented: &[&str],
        from: IpAddr,
        now: Duration,
        call_worker: impl Fn() + Sync,
    ) -> Verdict {
        if let Some(verdict) = self.check_fast(presented, from, now) {
            return verdict;
        }
        let address = AddressGroup::from(from);
        let mut all_judged = true;
        for secret in presented.iter().take(MAX_PRESENTED) {
            match self.judge(secret, address, now, &call_worker).await {
                Judged::Right(credential) => return self.grant(credential),
                Judged::Wrong => {}
                Judged::NotNow => all_judged = false,
            }
        }
        if all_judged { self.failed(address, now) } else { RETRY_SOON }
    }

    /// Verifies the passwords that wait, as long as it is this thread's turn. Blocks.
    pub fn work(&self) {
        while let Some(turn) = self.gate.next() {
            // A panic must not leave the others waiting.
            let judged = catch_unwind(AssertUnwindSafe(|| self.verify(&turn.secret))).unwrap_or(Judged::NotNow);
            if let Judged::Right(credential) = judged {
                self.note_proved(turn.address, credential);
            }
            turn.end(judged);
        }
    }

    fn add(&mut self, credential: Credential, given: &mut HashMap<Sha256Digest, usize>) -> Result<(), AccessError> {
        let (identity, proof) = credential.prepare()?;
        let credential = self.identities.len();
        if let Some(digest) = proof.digest() {
            if let Some(first) = given.get(&digest) {
                return self.accept_twin(*first, &identity);
            }
            given.insert(digest, credential);
        }
        match proof {
            Proof::Password { hash, .. } => self.passwords.add(credential, hash),
            Proof::Key(digest) => {
                self.keys.digests.push(digest);
                self.keys.credentials.push(credential);
            }
        }
        self.identities.push(identity);
        Ok(())
    }

    /// The same secret twice is harmless, unless it gives two different rights.
    fn accept_twin(&self, first: usize, second: &Identity) -> Result<(), AccessError> {
        let first = &self.identities[first];
        if first.has_rights_of(second) {
            return Ok(());
        }
        Err(AccessError::SameSecret { first: first.name.to_string(), second: second.name.to_string() })
    }

    fn granted(&self, presented: &[&str], address: AddressGroup, now: Duration) -> Option<Verdict> {
        presented.iter().find_map(|secret| match self.look_up(secret, address, now) {
            Some(Judged::Right(credential)) => Some(self.grant(credential)),
            _ => None,
        })
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

    /// The judgement that needs no turn, if there is one.
    fn look_up(&self, secret: &str, address: AddressGroup, now: Duration) -> Option<Judged> {
        // Read first: a password becomes known only after its secret can be recognised, so when all are
        // known here, then what is not recognised below is wrong.
        let all_known = self.passwords.all_known();
        if let Some(credential) = self.recognise(secret) {
            return self.opens_here(credential, address, now).then_some(Judged::Right(credential));
        }
        if secret.is_empty() || self.passwords.has_refused(&self.keyed.digest(secret)) {
            return Some(Judged::Wrong);
        }
        // How soon the answer comes must not tell a right guess from a wrong one.
        let must_take_turns = self.passwords.are_any() && self.throttle.is_throttling(address, now);
        (all_known && !must_take_turns).then_some(Judged::Wrong)
    }

    fn note_proved(&self, address: AddressGroup, credential: usize) {
        self.proved.write().get_or_insert((address, credential), ());
    }

    /// Keys are too long to be guessed. A password opens where it has opened before, and where no address guesses.
    fn opens_here(&self, credential: usize, address: AddressGroup, now: Duration) -> bool {
        if !self.passwords.has(credential) || self.proved.read().contains(&(address, credential)) {
            return true;
        }
        let opens = !self.throttle.is_throttling(address, now);
        if opens {
            self.note_proved(address, credential);
        }
        opens
    }

    fn may_be_judged(&self, secret: &str, address: AddressGroup, now: Duration) -> bool {
        let failures = self.throttle.failures(address, now);
        let admission = || self.gate.admission(&self.keyed.digest(secret), address, failures);
        match admission() {
            Admission::Join => true,
            // The turn may have been taken since for the same secret.
            Admission::Queue => self.throttle.may_verify(address, now) || admission() == Admission::Join,
            Admission::Full => false,
        }
    }

    async fn judge(&self, secret: &str, address: AddressGroup, now: Duration, call_worker: &impl Fn()) -> Judged {
        if let Some(judged) = self.look_up(secret, address, now) {
            return judged;
        }
        let may_start = || self.throttle.take_verification(address, now);
        let failures = self.throttle.failures(address, now);
        let Some(verified) = self.gate.enter((self.keyed.digest(secret), secret), address, failures, may_start) else {
            // Another request may have proved the same secret since the look above.
            return self.look_up(secret, address, now).unwrap_or(Judged::NotNow);
        };
        let mut attempt = Attempt { throttle: &self.throttle, address, now, is_judged: false };
        call_worker();
        let judged = verified.await.unwrap_or(Judged::NotNow);
        attempt.is_judged = true;
        if let Judged::Right(credential) = judged {
            self.note_proved(address, credential);
        }
        judged
    }

    /// Computes the hashes that are needed. Runs inside a turn, and writes down what it learns before the turn ends.
    fn verify(&self, secret: &str) -> Judged {
        let digest = self.keyed.digest(secret);
        if let Some(credential) = self.recognise(secret) {
            return Judged::Right(credential);
        }
        self.passwords.verify(secret, digest, |credential| self.known.remember(&digest, credential))
    }
}

/// A caller that leaves before it is judged has failed: its work goes on, and it may come back at once.
struct Attempt<'a> {
    throttle: &'a Throttle,
    address: AddressGroup,
    now: Duration,
    is_judged: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_judged {
            self.throttle.fail(self.address, self.now);
        }
    }
}

/// A name stands for one key in logs and messages.
fn each_key_has_its_name(credentials: &[Credential]) -> Result<(), AccessError> {
    let mut names = HashSet::new();
    let keys = credentials.iter().filter(|credential| matches!(credential, Credential::ApiKey { .. }));
    match keys.map(Credential::name).find(|name| !names.insert(*name)) {
        Some(name) => Err(AccessError::SameName { name: name.to_owned() }),
        None => Ok(()),
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("identities", &self.identities).finish_non_exhaustive()
    }
}
