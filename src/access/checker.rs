//! The checker: presented secrets and an address in, a verdict out.
//!
//! What a flood of wrong credentials can cost is bounded at every step. A valid key takes one digest and no lock; so
//! does a password where it has opened before. Anything else takes two, and a password hash is computed only for a
//! secret that *could* still be right: while some configured password has not been seen yet (a hash has one password,
//! so once that is known, no other needs verifying), if the secret was not refused lately, and if the gate has a place.
//! From a throttled address one password is judged a second, right or wrong, computed or not: guesses are no faster
//! because the password is known. Where the password has opened before it goes on to open, whatever others do there.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::{
    credential::{Credential, Proof},
    digest::{Keyed, Sha256Digest},
    ending::Ending,
    gate::{Admission, Gate},
    identity::{Identity, Role},
    key_ring::{KeyRing, PreparedKey, PreparedRule, accept_twin},
    known_secrets::KnownSecrets,
    oidc::IdentityTokens,
    options::{AccessError, AccessOptions, Verdict},
    passwords::{Judged, Passwords},
    throttle::Throttle,
};
use crate::base::address_group::AddressGroup;
use crate::base::bounded_map::BoundedMap;

/// A request has three places for a secret; a request with more is no client's.
const MAX_PRESENTED: usize = 4;
/// For an attempt that could not be judged now: a second is when the next one may be.
const RETRY_SOON: Verdict = Verdict::Throttled { retry_after_seconds: 1 };

/// All credentials of the server.
pub struct Access {
    pub(super) is_open: bool,
    anonymous: Identity,
    anonymous_elsewhere: Identity,
    /// Replaced as a whole.
    pub(super) keys: ArcSwap<KeyRing>,
    /// What is in each ring.
    pub(super) fixed: Fixed,
    /// The owners of the passwords.
    pub(super) owners: Vec<Identity>,
    passwords: Passwords,
    pub(super) keyed: Keyed,
    /// The passwords that have opened before.
    known: KnownSecrets,
    /// The addresses from which a password was accepted lately, each with the password: it stays accepted there, however
    /// often others fail from the same address.
    proved: RwLock<BoundedMap<(AddressGroup, usize), ()>>,
    throttle: Throttle,
    gate: Gate<Judged>,
    /// Changes when a key has ended or has another end. Its lock is held while keys are replaced.
    pub(super) changes: Mutex<watch::Sender<()>>,
    pub(super) tokens: Option<Arc<IdentityTokens>>,
}

/// What was given at the start, and lasts as long as the process.
#[derive(Default)]
pub(super) struct Fixed {
    pub(super) keys: Vec<PreparedKey>,
    pub(super) rules: Vec<PreparedRule>,
    /// The owner of each secret of which the digest is known.
    pub(super) given: HashMap<Sha256Digest, Identity>,
    pub(super) names: Vec<String>,
}

/// What is known of a presented secret.
enum Looked {
    Opens(Identity),
    Expired(Identity),
    Wrong,
}

/// Whose a secret is.
enum Owner {
    Key(Identity),
    Password(usize),
}

impl Access {
    /// Takes tens of milliseconds for each plain password.
    pub fn new(credentials: Vec<Credential>, options: AccessOptions) -> Result<Access, AccessError> {
        options.validate()?;
        let random = |error: getrandom::Error| AccessError::Random { problem: error.to_string() };
        let (changes, keyed) = (watch::Sender::new(()), Keyed::new().map_err(random)?);
        let is_open = credentials.is_empty() && !options.may_reload;
        let passwords = credentials.iter().filter(|credential| !credential.is_key()).count();
        let mut access = Access {
            is_open,
            anonymous: Identity::anonymous(options.anonymous_role),
            anonymous_elsewhere: Identity::anonymous(Role::Client),
            keys: ArcSwap::from_pointee(KeyRing::new([], Vec::new(), &keyed)?),
            fixed: Fixed::default(),
            owners: Vec::with_capacity(passwords),
            passwords: Passwords::new(options.max_refused),
            keyed,
            known: KnownSecrets::for_credentials(passwords),
            proved: RwLock::new(BoundedMap::new(options.max_addresses)),
            throttle: Throttle::new(options.failures_per_window, options.window, options.max_addresses),
            gate: Gate::new(options.max_verifications),
            changes: Mutex::new(changes),
            tokens: None,
        };
        for credential in credentials {
            access.add(credential)?;
        }
        access.reload(Vec::new(), Vec::new())?;
        Ok(access)
    }

    /// No credential is configured: presented ones are ignored, and everybody is anonymous.
    pub fn is_open(&self) -> bool {
        self.is_open
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
        if self.is_open {
            return Some(Verdict::Granted(self.anonymous.clone()));
        }
        let presented = &presented[..presented.len().min(MAX_PRESENTED)];
        if presented.is_empty() {
            return Some(Verdict::Missing);
        }
        let address = AddressGroup::from(from);
        let (mut undecided, mut may_be_judged, mut expired) = (false, false, None);
        for secret in presented {
            match self.look_up(secret, address, now) {
                Some(Looked::Opens(identity)) => return Some(Verdict::Granted(identity)),
                Some(Looked::Expired(identity)) => expired = Some(identity),
                Some(Looked::Wrong) => {}
                None => {
                    undecided = true;
                    may_be_judged |= self.may_be_judged(secret, address, now);
                }
            }
        }
        match (undecided, may_be_judged) {
            (false, _) => Some(self.failed(expired, address, now)),
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
        let (mut all_judged, mut expired) = (true, None);
        for secret in presented.iter().take(MAX_PRESENTED) {
            match self.judge(secret, address, now, &call_worker).await {
                Some(Looked::Opens(identity)) => return Verdict::Granted(identity),
                Some(Looked::Expired(identity)) => expired = Some(identity),
                Some(Looked::Wrong) => {}
                None => all_judged = false,
            }
        }
        if all_judged { self.failed(expired, address, now) } else { RETRY_SOON }
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

    fn add(&mut self, credential: Credential) -> Result<(), AccessError> {
        if let Credential::ApiKey(key) = &credential {
            self.fixed.names.push(key.name.clone());
        }
        let (identity, proof) = credential.prepare(self.changes.get_mut())?;
        if let Some(digest) = proof.digest() {
            if let Some(first) = self.fixed.given.get(&digest) {
                return accept_twin(first, &identity);
            }
            self.fixed.given.insert(digest, identity.clone());
        }
        match proof {
            Proof::Password { hash, .. } => {
                self.passwords.add(self.owners.len(), hash);
                self.owners.push(identity);
            }
            Proof::Key(digest) => self.fixed.keys.push(PreparedKey { digest, identity }),
        }
        Ok(())
    }

    fn granted(&self, presented: &[&str], address: AddressGroup, now: Duration) -> Option<Verdict> {
        presented.iter().find_map(|secret| match self.look_up(secret, address, now) {
            Some(Looked::Opens(identity)) => Some(Verdict::Granted(identity)),
            _ => None,
        })
    }

    /// A key that was right until lately is no guess.
    fn failed(&self, expired: Option<Identity>, address: AddressGroup, now: Duration) -> Verdict {
        if let Some(identity) = expired {
            return Verdict::Expired(identity);
        }
        match self.throttle.fail(address, now) {
            None => Verdict::Wrong,
            Some(retry_after_seconds) => Verdict::Throttled { retry_after_seconds },
        }
    }

    /// Whose a secret is, if it is a key or a password that is known.
    fn recognise(&self, secret: &str) -> Option<Owner> {
        let digest = self.keyed.digest(secret);
        let password = self.known.credential_of(&digest).map(Owner::Password);
        password.or_else(|| self.keys.load().owner(secret, &digest, &self.keyed).map(Owner::Key))
    }

    /// The judgement that needs no turn, if there is one.
    fn look_up(&self, secret: &str, address: AddressGroup, now: Duration) -> Option<Looked> {
        // Read first: a password becomes known only after its secret can be recognised, so when all are
        // known here, then what is not recognised below is wrong.
        let all_known = self.passwords.all_known();
        match self.recognise(secret) {
            Some(Owner::Key(identity)) if identity.ending().is_some_and(Ending::has_expired) => {
                return Some(Looked::Expired(identity));
            }
            Some(Owner::Key(identity)) => return Some(Looked::Opens(identity)),
            Some(Owner::Password(password)) => {
                return self.opens_here(password, address, now).then(|| Looked::Opens(self.owners[password].clone()));
            }
            None => {}
        }
        if secret.is_empty() || self.passwords.has_refused(&self.keyed.digest(secret)) {
            return Some(Looked::Wrong);
        }
        // How soon the answer comes must not tell a right guess from a wrong one.
        let must_take_turns = self.passwords.are_any() && self.throttle.is_throttling(address, now);
        (all_known && !must_take_turns).then_some(Looked::Wrong)
    }

    fn note_proved(&self, address: AddressGroup, password: usize) {
        self.proved.write().get_or_insert((address, password), ());
    }

    /// A password opens where it has opened before, and where no address guesses. Keys are too long to be guessed.
    fn opens_here(&self, password: usize, address: AddressGroup, now: Duration) -> bool {
        if self.proved.read().contains(&(address, password)) {
            return true;
        }
        let opens = !self.throttle.is_throttling(address, now);
        if opens {
            self.note_proved(address, password);
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

    /// `None`: not now.
    async fn judge(
        &self,
        secret: &str,
        address: AddressGroup,
        now: Duration,
        call_worker: &impl Fn(),
    ) -> Option<Looked> {
        if let Some(looked) = self.look_up(secret, address, now) {
            return Some(looked);
        }
        let may_start = || self.throttle.take_verification(address, now);
        let failures = self.throttle.failures(address, now);
        let Some(verified) = self.gate.enter((self.keyed.digest(secret), secret), address, failures, may_start) else {
            // Another request may have proved the same secret since the look above.
            return self.look_up(secret, address, now);
        };
        let mut attempt = Attempt { throttle: &self.throttle, address, now, is_judged: false };
        call_worker();
        let judged = verified.await.unwrap_or(Judged::NotNow);
        attempt.is_judged = true;
        match judged {
            Judged::Right(password) => {
                self.note_proved(address, password);
                Some(Looked::Opens(self.owners[password].clone()))
            }
            Judged::Wrong => Some(Looked::Wrong),
            Judged::NotNow => None,
        }
    }

    /// Computes the hashes that are needed. Runs inside a turn, and writes down what it learns before the turn ends.
    fn verify(&self, secret: &str) -> Judged {
        let digest = self.keyed.digest(secret);
        if let Some(password) = self.known.credential_of(&digest) {
            return Judged::Right(password);
        }
        self.passwords.verify(secret, digest, |password| self.known.remember(&digest, password))
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

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("keys", &self.keys().len()).finish_non_exhaustive()
    }
}
