//! Requests a second: how many one credential may send, and how many all callers together may send for locks under a prefix.

use super::identity::Identity;
use crate::base::TooFast;
use crate::base::bounded_map::BoundedMap;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Credentials whose rates are remembered where each has one; the one that came first is forgotten.
const CREDENTIALS_MAX: usize = 10_000;

/// Whose requests a rate bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The credential of this name.
    Credential(String),
    /// Each credential that has no rate of its own.
    EachCredential,
    /// Requests for locks whose names begin with this, whoever sends them.
    Prefix(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Credential(name) => write!(f, "credential {name}"),
            Subject::EachCredential => f.write_str("each credential"),
            Subject::Prefix(prefix) => write!(f, "prefix {prefix}"),
        }
    }
}

/// A rate, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    pub subject: Subject,
    pub requests_per_second: NonZeroU32,
    /// Requests that may come at once after a pause.
    pub burst: NonZeroU32,
}

/// A rate and what became of the requests that it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateUse {
    pub subject: Subject,
    /// What it is called in metrics and refusals.
    pub quota: Arc<str>,
    pub requests_per_second: u32,
    pub burst: u32,
    pub passed: u64,
    pub refused: u64,
}

/// Returns the age of the process.
type Age = fn() -> Duration;

struct AgeClock(Age);

impl Clock for AgeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}

type Bucket = RateLimiter<NotKeyed, Tokens, AgeClock, NoOpMiddleware<Duration>>;

/// What is left in a bucket. While `looks_only` is set, a check takes nothing.
#[derive(Default)]
struct Tokens {
    state: InMemoryState,
    looks_only: Arc<AtomicBool>,
}

impl StateStore for Tokens {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, key: &NotKeyed, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if !self.looks_only.load(Relaxed) {
            return self.state.measure_and_replace(key, measure);
        }
        // The state is replaced only where the measure succeeds.
        let look = |before| Err::<(Infallible, Nanos), _>(measure(before).map(|(passed, _)| passed));
        match self.state.measure_and_replace(key, look) {
            Ok(never) => match never {},
            Err(looked) => looked,
        }
    }
}

/// By the number of the credential.
type Buckets = Mutex<BoundedMap<u64, Arc<Bucket>>>;

/// One rate at work.
struct Limit {
    rate: Rate,
    quota: Arc<str>,
    age: Age,
    bucket: Bucket,
    passed: AtomicU64,
    refused: AtomicU64,
}

impl Limit {
    fn new(rate: &Rate, age: Age, looks_only: &Arc<AtomicBool>) -> Limit {
        Limit {
            rate: rate.clone(),
            quota: rate.subject.to_string().into(),
            age,
            bucket: bucket(rate, age, looks_only),
            passed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    fn usage(&self) -> RateUse {
        RateUse {
            subject: self.rate.subject.clone(),
            quota: Arc::clone(&self.quota),
            requests_per_second: self.rate.requests_per_second.get(),
            burst: self.rate.burst.get(),
            passed: self.passed.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }

    /// Takes one request from a bucket of this rate.
    fn take(&self, bucket: &Bucket) -> Result<(), TooFast> {
        self.look(bucket)?;
        self.passed.fetch_add(1, Relaxed);
        Ok(())
    }

    /// The same without counting what passes.
    fn look(&self, bucket: &Bucket) -> Result<(), TooFast> {
        bucket.check().map_err(|until| {
            self.refused.fetch_add(1, Relaxed);
            TooFast {
                quota: Arc::clone(&self.quota),
                requests_per_second: self.rate.requests_per_second.get(),
                retry_after_seconds: whole_seconds(until.wait_time_from((self.age)())),
            }
        })
    }
}

fn bucket(rate: &Rate, age: Age, looks_only: &Arc<AtomicBool>) -> Bucket {
    let quota = Quota::per_second(rate.requests_per_second).allow_burst(rate.burst);
    let tokens = Tokens { state: InMemoryState::default(), looks_only: Arc::clone(looks_only) };
    RateLimiter::new(quota, tokens, AgeClock(age))
}

/// Rounded up, and at least 1: what `Retry-After` can say.
fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

/// All rates of this node. What they remember does not grow with the number of requests or names.
pub struct Rates {
    age: Age,
    by_credential: HashMap<String, Limit>,
    each_credential: Option<(Limit, Buckets)>,
    by_prefix: Vec<(String, Limit)>,
    /// Of the request that asks several prefixes, so that all of them pass it, or none counts it.
    turn: Mutex<()>,
    /// Set during a turn, for the prefixes.
    looks_only: Arc<AtomicBool>,
}

impl Rates {
    /// `age` is that of the process, and never goes back.
    pub fn new(rates: &[Rate], age: Age) -> Rates {
        let (mut by_credential, mut each_credential, mut by_prefix) = (HashMap::new(), None, Vec::new());
        let (looks_only, never) = (Arc::default(), Arc::default());
        for rate in rates {
            let is_of_prefix = matches!(rate.subject, Subject::Prefix(_));
            let limit = Limit::new(rate, age, if is_of_prefix { &looks_only } else { &never });
            match &rate.subject {
                Subject::Credential(name) => drop(by_credential.insert(name.clone(), limit)),
                Subject::EachCredential => {
                    each_credential = Some((limit, Mutex::new(BoundedMap::new(CREDENTIALS_MAX))));
                }
                Subject::Prefix(prefix) => by_prefix.push((prefix.clone(), limit)),
            }
        }
        Rates { age, by_credential, each_credential, by_prefix, turn: Mutex::default(), looks_only }
    }

    /// Whether any rate is for credentials.
    pub fn count_credentials(&self) -> bool {
        !self.by_credential.is_empty() || self.each_credential.is_some()
    }

    /// Counts a request of this caller, or says when it may come back.
    pub fn admit(&self, identity: &Identity) -> Result<(), TooFast> {
        if let Some(limit) = self.by_credential.get(&*identity.name) {
            return limit.take(&limit.bucket);
        }
        match &self.each_credential {
            Some((limit, buckets)) if !identity.is_anonymous() => {
                let mut buckets = buckets.lock();
                let known = buckets.get(&identity.credential).cloned();
                let one = known.unwrap_or_else(|| {
                    let new = Arc::new(bucket(&limit.rate, self.age, &Arc::default()));
                    Arc::clone(buckets.get_or_insert(identity.credential, new))
                });
                drop(buckets);
                limit.take(&one)
            }
            _ => Ok(()),
        }
    }

    /// Counts a request for these names once under each prefix that has a rate. One that a prefix refuses counts under none.
    pub fn admit_names<'a>(&self, names: impl Iterator<Item = &'a str> + Clone) -> Result<(), TooFast> {
        let is_under = |prefix: &str| names.clone().any(|name| name.starts_with(prefix));
        let mut limits = self.by_prefix.iter().filter(|(prefix, _)| is_under(prefix)).map(|(_, limit)| limit);
        let Some(first) = limits.next() else { return Ok(()) };
        // Each takes a turn, or another could take in between what was seen to be left.
        let _turn = self.turn.lock();
        let others = limits.clone();
        if limits.next().is_none() {
            return first.take(&first.bucket);
        }
        let all = std::iter::once(first).chain(others);
        self.looks_only.store(true, Relaxed);
        let looked = all.clone().try_for_each(|limit| limit.look(&limit.bucket));
        self.looks_only.store(false, Relaxed);
        looked?;
        all.clone().try_for_each(|limit| limit.take(&limit.bucket))
    }

    /// In the order of their names.
    pub fn usage(&self) -> Vec<RateUse> {
        let each = self.each_credential.iter().map(|(limit, _)| limit);
        let limits = self.by_credential.values().chain(each).chain(self.by_prefix.iter().map(|(_, limit)| limit));
        let mut usage: Vec<RateUse> = limits.map(Limit::usage).collect();
        usage.sort_by(|one, other| one.quota.cmp(&other.quota));
        usage
    }

    /// The rates that this caller's requests count toward: that of its credential, and those of prefixes that it sees.
    pub fn usage_of(&self, identity: &Identity) -> Vec<RateUse> {
        let each = || self.each_credential.as_ref().filter(|_| !identity.is_anonymous()).map(|(limit, _)| limit);
        let own = self.by_credential.get(&*identity.name).or_else(each);
        let is_seen = |prefix: &str| !identity.prefixes_under(prefix).is_empty();
        let prefixes = self.by_prefix.iter().filter(|(prefix, _)| is_seen(prefix)).map(|(_, limit)| limit);
        own.into_iter().chain(prefixes).map(Limit::usage).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::Role;
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static NOW_MS: Cell<u64> = const { Cell::new(1_000_000) };
    }

    fn age() -> Duration {
        Duration::from_millis(NOW_MS.get())
    }

    fn rate(subject: Subject, requests_per_second: u32, burst: u32) -> Rate {
        let positive = |number| NonZeroU32::new(number).expect("not 0");
        Rate { subject, requests_per_second: positive(requests_per_second), burst: positive(burst) }
    }

    fn caller(name: &str) -> Identity {
        Identity::new(name, Role::Client, &[])
    }

    #[test]
    fn named_credential_is_held_to_its_rate_and_told_when_to_come_back() {
        let rates = Rates::new(&[rate(Subject::Credential("ci".to_owned()), 2, 3)], age);
        let passes = || (0..5).filter(|_| rates.admit(&caller("ci")).is_ok()).count();
        assert_eq!(passes(), 3, "a burst");
        NOW_MS.set(NOW_MS.get() + 500);
        assert_eq!(passes(), 1, "two a second");
        let refused = rates.admit(&caller("ci")).expect_err("at once");
        assert_eq!(
            (&*refused.quota, refused.requests_per_second, refused.retry_after_seconds),
            ("credential ci", 2, 1)
        );
        assert!(
            (0..100).all(|_| rates.admit(&caller("other")).is_ok() && rates.admit_names(["ci"].into_iter()).is_ok())
        );
        let [used] = &rates.usage()[..] else { panic!("one rate") };
        assert_eq!((used.passed, used.refused), (4, 7));
    }

    #[test]
    fn each_other_credential_has_a_bucket_of_its_own_and_anonymous_callers_none() {
        let rates = [rate(Subject::EachCredential, 1, 1), rate(Subject::Credential("ci".to_owned()), 1, 2)];
        let rates = Rates::new(&rates, age);
        let passes = |name: &str| (0..3).filter(|_| rates.admit(&caller(name)).is_ok()).count();
        assert_eq!([passes("a"), passes("b"), passes("ci"), passes("a")], [1, 1, 2, 0]);
        assert!((0..9).all(|_| rates.admit(&Identity::anonymous(Role::Client)).is_ok()));
        for number in 0..2 * CREDENTIALS_MAX {
            assert!(rates.admit(&caller(&format!("token-{number}"))).is_ok());
        }
        let (_, buckets) = rates.each_credential.as_ref().expect("a rate");
        assert_eq!(buckets.lock().len(), CREDENTIALS_MAX);
    }

    #[test]
    fn request_counts_once_under_each_prefix_of_its_names() {
        let of = |prefix: &str| Subject::Prefix(prefix.to_owned());
        let rates = Rates::new(&[rate(of("build/"), 1, 4), rate(of("build/app/"), 1, 2)], age);
        let passes = |names: &[&str]| rates.admit_names(names.iter().copied()).is_ok();
        assert!(passes(&["build/app/a", "build/app/b"]) && passes(&["x", "build/app/c"]) && !passes(&["build/app/d"]));
        assert!(passes(&["build/x"]) && passes(&["build/y"]), "what was refused has not counted here");
        assert!(!passes(&["build/z"]) && passes(&["x"]));
        NOW_MS.set(NOW_MS.get() + 1000);
        assert!(passes(&["build/app/d"]));
    }

    #[test]
    fn request_that_one_prefix_refuses_counts_under_no_other() {
        let of = |prefix: &str| Subject::Prefix(prefix.to_owned());
        let rates = Rates::new(&[rate(of("a/"), 1, 3), rate(of("a/b/"), 1, 1)], age);
        let passes = |name: &str| rates.admit_names([name].into_iter()).is_ok();
        assert!(passes("a/b/x"));
        assert!((0..9).all(|_| !passes("a/b/x")), "the inner prefix is used up");
        assert_eq!((0..9).filter(|_| passes("a/c")).count(), 2, "the outer one has what is left of three");
        let counts: Vec<_> = rates.usage().iter().map(|used| (used.passed, used.refused)).collect();
        assert_eq!(counts, [(3, 7), (1, 9)]);
    }

    #[test]
    fn caller_sees_its_own_rate_and_those_of_its_prefixes() {
        let of = |prefix: &str| rate(Subject::Prefix(prefix.to_owned()), 1, 1);
        let own = |name: &str| rate(Subject::Credential(name.to_owned()), 1, 1);
        let rates = [own("ci"), own("ops"), rate(Subject::EachCredential, 1, 1), of("build/"), of("db/")];
        let rates = Rates::new(&rates, age);
        let seen = |identity: Identity| {
            rates.usage_of(&identity).into_iter().map(|used| used.quota.to_string()).collect::<Vec<_>>()
        };
        let of_part = |name| Identity::new(name, Role::Client, &["build/app/".to_owned()]);
        assert_eq!(seen(of_part("ci")), ["credential ci", "prefix build/"]);
        assert_eq!(seen(of_part("other")), ["each credential", "prefix build/"]);
        assert_eq!(seen(Identity::anonymous(Role::Client)), ["prefix build/", "prefix db/"]);
    }

    #[test]
    fn rate_holds_when_many_threads_ask_at_once() {
        let of = |prefix: &str, burst| rate(Subject::Prefix(prefix.to_owned()), 5, burst);
        let rates = Rates::new(&[of("a", 250), of("a1", 1000)], age);
        let passes = || (0..500).filter(|_| rates.admit_names(["a1"].into_iter()).is_ok()).count();
        let all: usize = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..4).map(|_| scope.spawn(passes)).collect();
            asking.into_iter().map(|asking| asking.join().expect("no panic")).sum()
        });
        assert_eq!(all, 250);
        assert_eq!(rates.usage().iter().map(|used| used.passed).collect::<Vec<_>>(), [250, 250]);
    }
}
