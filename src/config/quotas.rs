//! `quotas.limits`: how many holds, sessions and waiters a credential may have, or all callers together under a prefix.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::bounds::{Words, bounds, subject};
use crate::access::{Identity, Subject, reserved_names};
use crate::base::config_value::positive_if_given;
use crate::domain::{Quota, QuotaLimits, QuotaOf, Quotas};

const WORDS: Words = Words {
    noun: "quota",
    expected: "expected { credential = \"ci\", holds_max = 100, sessions_max = 10, waiters_max = 50 } with one or more of the \
               three, or prefix = \"build/\" instead of credential, without sessions_max",
};

/// One of the list, as configured.
pub type LimitConfig = (Subject, QuotaLimits);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    credential: Option<String>,
    prefix: Option<String>,
    #[serde(default, deserialize_with = "positive_if_given")]
    holds_max: Option<u64>,
    #[serde(default, deserialize_with = "positive_if_given")]
    sessions_max: Option<u64>,
    #[serde(default, deserialize_with = "positive_if_given")]
    waiters_max: Option<u64>,
}

/// Reads the list. For `#[serde(deserialize_with)]`.
pub fn limits<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<LimitConfig>, D::Error> {
    let limits = bounds(from, &WORDS, limit)?;
    // Their numbers in the table do not follow from their names.
    let reserved = limits.iter().find_map(|(subject, _)| match subject {
        Subject::Credential(name) if reserved_names::is_reserved(name) => Some(name),
        _ => None,
    });
    match reserved {
        Some(name) => Err(de::Error::custom(format!(
            "{name:?} is no name of an API key or of certificates; \"*\" is each credential that has no quota of its own"
        ))),
        None => Ok(limits),
    }
}

fn limit(entry: Entry) -> Option<LimitConfig> {
    let subject = subject(entry.credential, entry.prefix)?;
    let Entry { holds_max, sessions_max, waiters_max, .. } = entry;
    let is_of_prefix = matches!(subject, Subject::Prefix(_));
    // A session has no name.
    let is_whole = (holds_max.is_some() || sessions_max.is_some() || waiters_max.is_some())
        && !(is_of_prefix && sessions_max.is_some());
    is_whole.then_some((subject, QuotaLimits { holds_max, sessions_max, waiters_max }))
}

/// For the lock table; `None` where there are none.
pub fn quotas(limits: &[LimitConfig]) -> Option<Arc<Quotas>> {
    let mut quotas = Quotas::default();
    for (subject, limits) in limits {
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
