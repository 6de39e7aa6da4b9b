//! All issuers, their keys, and the tokens that were verified lately.

use super::issuer::Issuer;
use super::key_set::KeySet;
use super::refusal::TokenRefusal;
use super::settings::{IssuerSettings, TokenLimits};
use super::signature;
use super::token::{IdentityToken, may_be_token};
use super::waiting::Fetches;
use crate::access::digest::{Keyed, KeyedDigest};
use crate::access::identity::Identity;
use crate::access::throttle::Throttle;
use crate::base::address_group::AddressGroup;
use crate::base::bounded_map::BoundedMap;
use parking_lot::RwLock;
use serde_json::Value;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Tokens that were verified lately, so that a request costs no signature. Beyond it, the oldest is verified again.
const VERIFIED_MAX: usize = 10_000;
/// The same of tokens that are rightly signed and open nothing: they keep no place from those that do.
const OPEN_NOTHING_MAX: usize = 1_000;
const WINDOW: Duration = Duration::from_secs(60);

/// Judges identity tokens.
pub struct IdentityTokens {
    issuers: Box<[Known]>,
    keyed: Keyed,
    verified: RwLock<BoundedMap<KeyedDigest, Verified>>,
    open_nothing: RwLock<BoundedMap<KeyedDigest, Verified<TokenRefusal>>>,
    throttle: Throttle,
    refetch_interval: Duration,
    /// In the order of [`TokenRefusal::ALL`].
    refused: [AtomicU64; TokenRefusal::ALL.len()],
}

struct Known {
    issuer: Issuer,
    keys: RwLock<Published>,
    fetches: Fetches,
    fetched: AtomicU64,
    failed: AtomicU64,
}

#[derive(Clone, Default)]
struct Published {
    /// Raised with each change; what was verified under another number is verified again.
    generation: u64,
    keys: Option<Arc<KeySet>>,
    at_unix_seconds: u64,
    /// The issuer gave no keys when it was last asked.
    is_failing: bool,
}

/// What a token was found to be while the keys of its issuer had this generation.
#[derive(Clone)]
struct Verified<T = Identity> {
    found: T,
    issuer: usize,
    generation: u64,
    until_unix_seconds: u64,
}

/// What a look at a secret has found.
#[derive(Debug)]
pub enum Looked {
    /// It is no identity token.
    NoToken,
    Judged(Result<Identity, TokenRefusal>),
    /// The keys of this issuer have to be fetched first.
    KeysNeeded(usize),
}

/// What is known of an issuer, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerReport {
    pub issuer: String,
    pub keys: usize,
    /// 0: never.
    pub fetched_unix_seconds: u64,
    pub fetches: u64,
    pub failures: u64,
}

/// Monotonic time since the process started, and wall-clock time since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub age: Duration,
    pub unix: Duration,
}

impl IdentityTokens {
    pub fn new(issuers: &[IssuerSettings], limits: TokenLimits) -> Result<IdentityTokens, getrandom::Error> {
        signature::install();
        let known = |settings| Known {
            issuer: Issuer::new(settings, &limits),
            keys: RwLock::default(),
            fetches: Fetches::default(),
            fetched: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        Ok(IdentityTokens {
            issuers: issuers.iter().map(known).collect(),
            keyed: Keyed::new()?,
            verified: RwLock::new(BoundedMap::new(VERIFIED_MAX)),
            open_nothing: RwLock::new(BoundedMap::new(OPEN_NOTHING_MAX)),
            throttle: Throttle::new(limits.failures_per_minute, WINDOW, limits.addresses_max),
            refetch_interval: limits.refetch_interval,
            refused: Default::default(),
        })
    }

    /// Looks at one secret. Never blocks. A token that was verified before costs one digest, a new one its signature.
    pub fn look(&self, secret: &str, from: IpAddr, now: Now) -> Looked {
        if !may_be_token(secret) {
            return Looked::NoToken;
        }
        let digest = self.keyed.digest(secret);
        if let Some(identity) = self.found_before(&self.verified, &digest, now.unix) {
            return Looked::Judged(Ok(identity));
        }
        if let Some(refusal) = self.found_before(&self.open_nothing, &digest, now.unix) {
            return Looked::Judged(Err(refusal));
        }
        match IdentityToken::read(secret) {
            None => Looked::NoToken,
            Some(Err(refusal)) => Looked::Judged(Err(refusal)),
            Some(Ok(token)) => {
                self.judge(&token, digest, from.into(), now).unwrap_or_else(|no| Looked::Judged(Err(no)))
            }
        }
    }

    /// Waits for keys, where that can help, and looks again.
    pub async fn look_with_new_keys(&self, secret: &str, issuer: usize, from: IpAddr, now: impl Fn() -> Now) -> Looked {
        let known = &self.issuers[issuer];
        // Even without a fetch: one may have ended since the first look.
        if let Err(refusal) = known.fetches.next(from.into(), now().age, self.refetch_interval).await {
            return Looked::Judged(Err(refusal));
        }
        match self.look(secret, from, now()) {
            Looked::KeysNeeded(_) => Looked::Judged(Err(known.without_key())),
            looked => looked,
        }
    }

    /// Takes in what was fetched.
    pub fn publish(&self, issuer: usize, keys: KeySet, unix_time: Duration) {
        let known = &self.issuers[issuer];
        known.fetched.fetch_add(1, Relaxed);
        let mut published = known.keys.write();
        (published.at_unix_seconds, published.is_failing) = (unix_time.as_secs(), false);
        if !published.keys.as_ref().is_some_and(|old| old.is_same_as(&keys)) {
            published.generation += 1;
            published.keys = Some(Arc::new(keys));
        }
    }

    pub fn note_failed_fetch(&self, issuer: usize) {
        self.issuers[issuer].failed.fetch_add(1, Relaxed);
        self.issuers[issuer].keys.write().is_failing = true;
    }

    /// The keys are too old to be relied on.
    pub fn forget_keys(&self, issuer: usize) {
        let mut published = self.issuers[issuer].keys.write();
        published.generation += 1;
        published.keys = None;
    }

    /// Until somebody shows a token that needs other keys.
    pub async fn fetch_wanted(&self, issuer: usize) {
        self.issuers[issuer].fetches.wanted().await;
    }

    pub fn begin_fetch(&self, issuer: usize, age: Duration) {
        self.issuers[issuer].fetches.begin(age);
    }

    /// Whoever waited looks again.
    pub fn end_fetch(&self, issuer: usize) {
        self.issuers[issuer].fetches.end();
    }

    pub fn count_refusal(&self, refusal: TokenRefusal) {
        let at = TokenRefusal::ALL.iter().position(|one| *one == refusal);
        if let Some(at) = at {
            self.refused[at].fetch_add(1, Relaxed);
        }
    }

    /// How many tokens were refused, by reason.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        TokenRefusal::ALL.iter().zip(&self.refused).map(|(refusal, count)| (refusal.label(), count.load(Relaxed)))
    }

    pub fn reports(&self) -> impl Iterator<Item = IssuerReport> {
        self.issuers.iter().map(|known| {
            let published = known.keys.read();
            IssuerReport {
                issuer: known.issuer.url.clone(),
                keys: published.keys.as_ref().map_or(0, |keys| keys.len()),
                fetched_unix_seconds: published.at_unix_seconds,
                fetches: known.fetched.load(Relaxed),
                failures: known.failed.load(Relaxed),
            }
        })
    }

    fn found_before<T: Clone>(
        &self,
        known: &RwLock<BoundedMap<KeyedDigest, Verified<T>>>,
        digest: &KeyedDigest,
        unix: Duration,
    ) -> Option<T> {
        let verified = known.read().get(digest).cloned()?;
        let is_current = self.issuers[verified.issuer].keys.read().generation == verified.generation;
        (is_current && unix.as_secs() < verified.until_unix_seconds).then_some(verified.found)
    }

    fn judge(
        &self,
        token: &IdentityToken<'_>,
        digest: KeyedDigest,
        address: AddressGroup,
        now: Now,
    ) -> Result<Looked, TokenRefusal> {
        let named = token.claims.get("iss").and_then(Value::as_str);
        let at = self.issuers.iter().position(|known| named == Some(&known.issuer.url));
        let issuer = at.ok_or(TokenRefusal::UnknownIssuer)?;
        let known = &self.issuers[issuer];
        let until = known.issuer.check_claims(token, now.unix)?;
        let published = known.keys.read().clone();
        let Some(keys) = published.keys else { return Ok(Looked::KeysNeeded(issuer)) };
        if keys.candidates(token.key_id.as_deref(), token.algorithm).is_empty() {
            return Ok(Looked::KeysNeeded(issuer));
        }
        if !self.throttle.take_verification(address, now.age) {
            return Err(TokenRefusal::NotNow);
        }
        let generation = published.generation;
        match known.issuer.verify(token, &keys, until) {
            Ok(found) => {
                let verified = Verified { found, issuer, generation, until_unix_seconds: until };
                Ok(Looked::Judged(Ok(remember(&self.verified, digest, verified))))
            }
            Err(found @ TokenRefusal::Signature) => {
                self.throttle.fail(address, now.age);
                Err(found)
            }
            // Whoever shows it has it from the issuer, and guesses nothing.
            Err(found) => {
                let nothing = Verified { found, issuer, generation, until_unix_seconds: until };
                Err(remember(&self.open_nothing, digest, nothing))
            }
        }
    }
}

fn remember<T: Clone>(
    known: &RwLock<BoundedMap<KeyedDigest, Verified<T>>>,
    digest: KeyedDigest,
    verified: Verified<T>,
) -> T {
    known.write().get_or_insert(digest, verified.clone()).clone_from(&verified);
    verified.found
}

impl Known {
    /// Why a token is refused whose key is not there.
    fn without_key(&self) -> TokenRefusal {
        let published = self.keys.read();
        // An issuer that cannot be asked may have published it meanwhile.
        let is_asked = published.keys.is_some() && !published.is_failing;
        if is_asked { TokenRefusal::UnknownKey } else { TokenRefusal::IssuerUnreachable }
    }
}

impl fmt::Debug for IdentityTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers = self.issuers.iter().map(|known| &known.issuer);
        f.debug_list().entries(issuers).finish()
    }
}
