//! A failed request before a dialect formats it: a code of the error table, a message, and the field at fault.

use super::code::{Code, FieldNames};
use super::deadlock::BlockedBy;
use super::frozen::Frozen;
use crate::access::Lack;
use crate::base::TooFast;
use crate::domain::{Counted, Field, Pool, QuotaFull, Refusal, SHARED, ShareOf};
use crate::engine::{EngineError, Fault, MemberError};
use std::borrow::Cow;

/// What a dialect writes into its own error body.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    pub code: Code,
    pub detail: Cow<'static, str>,
    /// The field of the request that is at fault, in the dialect's own name.
    pub field: Option<&'static str>,
    /// The bound that was exceeded, in the unit that the detail names.
    pub limit: Option<u64>,
    /// The key of `config.toml` that sets this bound; its detail names it too.
    pub config_key: Option<&'static str>,
    /// What few failures have.
    pub more: Option<Box<More>>,
    pub retry_after_seconds: Option<u32>,
}

/// In a box: a request carries room for its failure.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct More {
    /// The high-water mark of the resource, above the token of the request.
    pub mark: Option<u64>,
    /// Who is in the way of whom, where a wait would be part of a deadlock.
    pub cycle: Option<Vec<BlockedBy>>,
    /// What keeps the lock from being granted.
    pub frozen: Option<Frozen>,
    /// What a page says in place of the title of the code.
    pub title: Option<&'static str>,
}

impl Failure {
    pub fn with(self, more: More) -> Failure {
        Failure { more: Some(Box::new(more)), ..self }
    }

    /// The same with another title on a page.
    pub fn titled(self, title: &'static str) -> Failure {
        let more = More { title: Some(title), ..self.more.as_deref().cloned().unwrap_or_default() };
        self.with(more)
    }

    /// What a page is headed with.
    pub fn title(&self) -> &'static str {
        self.more.as_ref().and_then(|more| more.title).unwrap_or(self.code.row().title)
    }

    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Failure {
        let retry_after_seconds = code.has_retry_after().then_some(1);
        Failure {
            code,
            detail: detail.into(),
            field: None,
            limit: None,
            config_key: None,
            more: None,
            retry_after_seconds,
        }
    }

    /// The same, naming the key of `config.toml` that sets the bound.
    pub fn set_by(self, config_key: &'static str) -> Failure {
        let detail = format!("{} ({config_key})", self.detail).into();
        Failure { config_key: Some(config_key), detail, ..self }
    }

    pub fn field(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure { field: Some(field), ..Failure::new(Code::InvalidField, detail) }
    }

    /// The same, with the bound that was exceeded.
    pub fn with_limit(self, limit: u64) -> Failure {
        Failure { limit: Some(limit), ..self }
    }

    pub fn limit(field: &'static str, limit: u64, detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure { field: Some(field), ..Failure::new(Code::LimitExceeded, detail) }.with_limit(limit)
    }

    pub fn body_too_large(limit: u64) -> Failure {
        let detail = format!("the body must be at most {limit} bytes long");
        Failure::new(Code::BodyTooLarge, detail).with_limit(limit).set_by("server.body_bytes_max")
    }

    /// More requests than a rate allows; the key of the configuration is to be added.
    fn too_fast(refused: &TooFast) -> Failure {
        let TooFast { quota, requests_per_second, retry_after_seconds } = refused;
        let requests = if *requests_per_second == 1 { "request" } else { "requests" };
        let detail = format!("at most {requests_per_second} {requests} a second: the rate of {quota}");
        let failure = Failure::new(Code::RateExceeded, detail).with_limit((*requests_per_second).into());
        Failure { retry_after_seconds: Some(*retry_after_seconds), ..failure }
    }

    /// A right that the caller's credential lacks, and the role or prefix without which it does. The credential is not named.
    pub fn forbidden(right: &str, lack: Lack) -> Failure {
        Failure::new(Code::Forbidden, format!("this credential lacks the right to {right}: {lack}"))
    }

    /// The same of what may be done to one lock.
    pub fn forbidden_lock(right: &str, name: &str, lack: Lack) -> Failure {
        Failure::forbidden(&format!("{right} the lock {name:?}"), lack)
    }

    /// A fault of the engine, with the field names of our own API.
    pub fn of(fault: Fault) -> Failure {
        const NAMES: FieldNames = FieldNames { name: "name", size: "size", lease: "lease", wait: "wait" };
        Failure::from_fault(&fault, &NAMES)
    }

    /// A fault of the engine, with the field names of a dialect.
    pub fn from_fault(fault: &Fault, names: &FieldNames) -> Failure {
        let code = Code::from(fault);
        let failure = match fault {
            Fault::Engine(error) => Failure::new(code, error.to_string()),
            Fault::Member(error @ MemberError::BadAddress(_)) => Failure::field("address", error.to_string()),
            Fault::Member(error) => Failure::new(code, error.to_string()),
            Fault::Refused(refusal) => refused(code, refusal, names),
            Fault::TooFast(refused) => Failure { field: Some(names.name), ..Failure::too_fast(refused) },
        };
        match config_key(fault) {
            Some(key) => failure.set_by(key),
            None => failure,
        }
    }
}

impl From<Code> for Failure {
    /// The title of the code says it all.
    fn from(code: Code) -> Failure {
        Failure::new(code, code.row().title)
    }
}

fn refused(code: Code, refusal: &Refusal, names: &FieldNames) -> Failure {
    let (title, FieldNames { name, size, lease, .. }) = (code.row().title, *names);
    match refusal {
        Refusal::LimitExceeded { field, limit } => limit_exceeded(*field, *limit, names),
        Refusal::NulInName => Failure::field(name, format!("{name} must not contain a NUL character")),
        Refusal::SizeOfOne => {
            Failure::field(size, format!("{size} must be greater than 1: with 1 the lock would be exclusive"))
        }
        Refusal::ZeroSize => Failure::field(size, format!("{size} must be greater than 0")),
        Refusal::UnboundedHold => Failure::field(lease, format!("{lease} is needed to wait without a session")),
        Refusal::TableFull { limit } => {
            Failure::new(code, format!("{title}: at most {limit} bytes")).with_limit(*limit)
        }
        Refusal::ShareFull { pool, whose, limit } => {
            Failure::new(code, share_full(*pool, *whose, *limit)).with_limit(*limit)
        }
        Refusal::QuotaFull(full) => Failure::new(code, quota_full(full)).with_limit(full.limit),
        Refusal::SessionOfAnother => Failure::new(
            code,
            "the session was opened with another credential: ask with that one, or open a session of your own",
        ),
        Refusal::SizeMismatch { size: SHARED } => Failure::new(code, "the lock is in shared use, and not counted"),
        Refusal::SizeMismatch { size } => Failure::new(code, format!("the lock is in use with size {size}")),
        Refusal::WeightAboveSize { size: SHARED } => Failure::field("weight", "a shared hold has no weight"),
        Refusal::WeightAboveSize { size } => {
            Failure::field("weight", format!("weight must be from 1 to the size, {size}"))
        }
        Refusal::SizeBelowWeight { weight } => Failure::new(
            code,
            format!("a waiter of weight {weight} could never be granted the lock with a smaller {size}"),
        ),
        Refusal::NameTwice => Failure::field("names", "names must not contain a name twice"),
        Refusal::OtherNames { names } if names.is_empty() => Failure::new(code, "the hold is of this name alone"),
        Refusal::OtherNames { names } => Failure::new(
            code,
            format!(
                "the hold has {} names: give all of them in names, because it ends and is renewed as a whole",
                names.len()
            ),
        ),
        Refusal::Frozen(by) => kept_by(code, by.as_ref().into()),
        Refusal::WaitDropped => Failure::new(code, "an operator took this wait out of the queue: nothing was taken"),
        Refusal::NoElectionLease => Failure::field(lease, format!("{lease} is needed: a leader has a lease")),
        Refusal::TokenNotIssued => Failure::field("token", "no such token was ever issued by this service"),
        Refusal::TokenBelowMark { mark } => Failure::new(code, format!("token {} was accepted before", mark.0))
            .with(More { mark: Some(mark.0), ..More::default() }),
        Refusal::NotYet { level, node } => {
            let why = match node {
                Some(node) => format!("which node {node} lacks: upgrade it first"),
                None => "which the cluster is about to reach: try again in a moment".to_owned(),
            };
            Failure::new(code, format!("this needs feature level {level}, {why}"))
        }
        Refusal::QueueFull { limit }
        | Refusal::HoldsFull { limit }
        | Refusal::SessionHoldsFull { limit }
        | Refusal::SessionsFull { limit }
        | Refusal::MarksFull { limit }
        | Refusal::FreezesFull { limit }
        | Refusal::IdempotencyKeysFull { limit } => {
            let are = if *limit == 1 { "is" } else { "are" };
            Failure::new(code, format!("{title}: at most {limit} {are} allowed")).with_limit(*limit)
        }
        _ => code.into(),
    }
}

fn kept_by(code: Code, frozen: Frozen) -> Failure {
    let retry_after_seconds = Some(frozen.retry_after_seconds());
    let failure = Failure { retry_after_seconds, ..Failure::new(code, frozen.text()) };
    failure.with(More { frozen: Some(frozen), ..More::default() })
}

/// The key of `config.toml` that sets the limit which is the reason.
fn config_key(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::Refused(refusal) => refusal.config_key(),
        Fault::Engine(EngineError::Overloaded) => Some("storage.queue_commands_max"),
        Fault::Engine(EngineError::DiskNearlyFull | EngineError::DiskFull) => Some("storage.min_free_bytes"),
        Fault::Engine(_) | Fault::Member(_) => None,
        Fault::TooFast(_) => Some("quotas.rates"),
    }
}

fn quota_full(full: &QuotaFull) -> String {
    let (one, several) = match full.counted {
        Counted::Holds => ("hold or waiter", "holds and waiters"),
        Counted::Sessions => ("session", "sessions"),
        Counted::Waiters => ("waiter", "waiters"),
    };
    let what = if full.limit == 1 { one } else { several };
    format!("at most {} {what}: the {} of {}", full.limit, full.counted.key(), full.of)
}

fn share_full(pool: Pool, whose: ShareOf, limit: u64) -> String {
    let what = match pool {
        Pool::Holds => "holds and waiters",
        Pool::Sessions => "sessions",
        Pool::IdempotencyKeys => "idempotency keys",
        Pool::Bytes => "bytes of the lock table",
        Pool::Marks => "marks",
    };
    let whose = match whose {
        ShareOf::Credential => "this credential",
        ShareOf::Address => "this address",
    };
    format!("{whose} may have at most {limit} {what}, its share of {}", pool.config_key())
}

fn limit_exceeded(field: Field, limit: u64, names: &FieldNames) -> Failure {
    let name = names.of(field);
    let detail = match field {
        Field::Name => format!("{name} must be at most {limit} bytes long"),
        Field::Size => format!("{name} must be at most {limit}"),
        Field::Names => format!("{name} must have at most {limit} entries"),
        Field::Value => format!("{name} must be at most {limit} bytes long"),
        Field::Lease | Field::Wait | Field::LockDelay | Field::FreezeTime => {
            let detail = format!("{name} must be at most {} seconds", Seconds(limit));
            return Failure::limit(name, limit / 1000, detail);
        }
        Field::MetadataEntries => format!("{name} must have at most {limit} entries"),
        Field::MetadataKey => format!("each key of {name} must be at most {limit} bytes long"),
        Field::MetadataValue => format!("each value of {name} must be at most {limit} bytes long"),
    };
    Failure::limit(name, limit, detail)
}

/// Milliseconds, shown as seconds with only significant digits.
pub struct Seconds(pub u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, ms) = (self.0 / 1000, self.0 % 1000);
        match ms {
            0 => write!(f, "{seconds}"),
            _ if ms % 100 == 0 => write!(f, "{seconds}.{}", ms / 100),
            _ if ms % 10 == 0 => write!(f, "{seconds}.{:02}", ms / 10),
            _ => write!(f, "{seconds}.{ms:03}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::QuotaOf;

    const NAMES: FieldNames = FieldNames { name: "lockname", size: "size", lease: "lifetime", wait: "timeout" };

    #[test]
    fn limit_failure_uses_the_field_names_of_the_dialect() {
        let refusal = Refusal::LimitExceeded { field: Field::Lease, limit: 1_500 };
        let failure = Failure::from_fault(&Fault::Refused(refusal), &NAMES);
        assert_eq!(failure.detail, "lifetime must be at most 1.5 seconds (locks.lease_max)");
        assert_eq!(failure.config_key, Some("locks.lease_max"));
        assert_eq!(failure.field, Some("lifetime"));
        assert_eq!(failure.code, Code::LimitExceeded);
    }

    #[test]
    fn count_limits_name_their_config_key() {
        let limit = 7;
        let quota = |of, counted| Refusal::QuotaFull(Box::new(QuotaFull { of, counted, limit }));
        let refusals = [
            Refusal::QueueFull { limit },
            Refusal::HoldsFull { limit },
            Refusal::SessionHoldsFull { limit },
            Refusal::SessionsFull { limit },
            Refusal::IdempotencyKeysFull { limit },
            Refusal::TableFull { limit },
            quota(QuotaOf::EachCredential, Counted::Waiters),
            quota(QuotaOf::Prefix("build/".into()), Counted::Holds),
            Refusal::ShareFull { pool: Pool::Bytes, whose: ShareOf::Credential, limit },
            Refusal::ShareFull { pool: Pool::Sessions, whose: ShareOf::Address, limit },
        ];
        for refusal in refusals {
            let failure = Failure::from_fault(&Fault::Refused(refusal), &NAMES);
            let key = failure.config_key.expect("a key");
            assert!(failure.detail.contains(" 7 ") && failure.detail.ends_with(&format!("({key})")), "{failure:?}");
        }
    }

    #[test]
    fn limit_of_one_is_told_in_the_singular() {
        let quota = |counted| {
            let full = QuotaFull { of: QuotaOf::Prefix("build/".into()), counted, limit: 1 };
            Failure::from_fault(&Fault::Refused(Refusal::QuotaFull(Box::new(full))), &NAMES).detail
        };
        assert_eq!(quota(Counted::Holds), "at most 1 hold or waiter: the holds_max of prefix build/ (quotas.limits)");
        assert!(quota(Counted::Sessions).starts_with("at most 1 session: "));
        assert!(quota(Counted::Waiters).starts_with("at most 1 waiter: "));
        let queue = Failure::from_fault(&Fault::Refused(Refusal::QueueFull { limit: 1 }), &NAMES).detail;
        assert!(queue.contains(": at most 1 is allowed ("), "{queue}");
    }

    #[test]
    fn overloaded_failure_has_retry_after() {
        let busy = Failure::from_fault(&Fault::Engine(EngineError::Overloaded), &NAMES);
        assert_eq!(busy.retry_after_seconds, Some(1));
        let unknown = Failure::from_fault(&Fault::Engine(EngineError::OutcomeUnknown), &NAMES);
        assert_eq!(unknown.retry_after_seconds, None);
    }

    #[test]
    fn seconds_show_only_significant_digits() {
        let shown = [0, 1, 10, 1_500, 2_000].map(|ms| Seconds(ms).to_string());
        assert_eq!(shown, ["0", "0.001", "0.01", "1.5", "2"]);
    }
}
