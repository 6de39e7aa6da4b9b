//! `quotas.limits`: how many holds, sessions and waiters a credential may have, or all callers together under a prefix.

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::rates::subject;
use crate::access::{Identity, Subject, reserved_names};
use crate::domain::{Quota, QuotaLimits, QuotaOf, Quotas};

const EXPECTED: &str = "expected { credential = \"ci\", holds_max = 100, sessions_max = 10, waiters_max = 50 } with one or more of the \
    three, or prefix = \"build/\" instead of credential, without sessions_max";

/// Each leadership writes all of them to the log.
const LIMITS_MAX: usize = 1000;

/// One of the list, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitConfig {
    subject: Subject,
    limits: QuotaLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    credential: Option<String>,
    prefix: Option<String>,
    holds_max: Option<NonZeroU64>,
    sessions_max: Option<NonZeroU64>,
    waiters_max: Option<NonZeroU64>,
}

/// Reads the list. For `#[serde(deserialize_with)]`.
pub fn limits<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<LimitConfig>, D::Error> {
    let entries = Vec::<Entry>::deserialize(from).map_err(|error| de::Error::custom(format!("{EXPECTED}: {error}")))?;
    if entries.len() > LIMITS_MAX {
        return Err(de::Error::custom(format!("expected at most {LIMITS_MAX} quotas")));
    }
    let limits: Vec<LimitConfig> =
        entries.into_iter().map(limit).collect::<Option<_>>().ok_or_else(|| de::Error::custom(EXPECTED))?;
    // Their numbers in the table do not follow from their names.
    let reserved = limits.iter().find_map(|limit| match &limit.subject {
        Subject::Credential(name) if reserved_names::is_reserved(name) => Some(name),
        _ => None,
    });
    if let Some(name) = reserved {
        let problem =
            "is no name of an API key or of certificates; \"*\" is each credential that has no quota of its own";
        return Err(de::Error::custom(format!("{name:?} {problem}")));
    }
    let mut subjects = HashSet::new();
    match limits.iter().find(|limit| !subjects.insert(&limit.subject)) {
        Some(twice) => Err(de::Error::custom(format!("expected one quota of {}", twice.subject))),
        None => Ok(limits),
    }
}

fn limit(entry: Entry) -> Option<LimitConfig> {
    let subject = subject(entry.credential, entry.prefix)?;
    let [holds_max, sessions_max, waiters_max] =
        [entry.holds_max, entry.sessions_max, entry.waiters_max].map(|max| max.map(NonZeroU64::get));
    let is_of_prefix = matches!(subject, Subject::Prefix(_));
    // A session has no name.
    let is_whole = (holds_max.is_some() || sessions_max.is_some() || waiters_max.is_some())
        && !(is_of_prefix && sessions_max.is_some());
    is_whole.then_some(LimitConfig { subject, limits: QuotaLimits { holds_max, sessions_max, waiters_max } })
}

/// For the lock table; `None` where there are none.
pub fn quotas(limits: &[LimitConfig]) -> Option<Arc<Quotas>> {
    let mut quotas = Quotas::default();
    for LimitConfig { subject, limits } in limits {
        let of = match subject {
            Subject::Credential(name) => {
                QuotaOf::Credential { credential: Identity::credential_of_key(name), name: name.as_str().into() }
            }
            Subject::EachCredential => QuotaOf::EachCredential,
            Subject::Prefix(prefix) => QuotaOf::Prefix(prefix.as_str().into()),
        };
        quotas.insert(Quota { of, limits: *limits });
    }
    (!quotas.is_empty()).then(|| Arc::new(quotas))
}
