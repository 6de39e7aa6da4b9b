//! `quotas.rates`: requests a second.

use std::collections::HashSet;
use std::num::NonZeroU32;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::access::{Rate, Subject, reserved_names};

const EXPECTED: &str = "expected { credential = \"ci\", requests_per_second = 50, burst = 100 }, or prefix = \"build/\" instead of \
    credential";

/// Each is asked about each request.
const RATES_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    credential: Option<String>,
    prefix: Option<String>,
    requests_per_second: NonZeroU32,
    burst: Option<NonZeroU32>,
}

/// Reads the list. For `#[serde(deserialize_with)]`.
pub fn rates<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Rate>, D::Error> {
    let entries = Vec::<Entry>::deserialize(from).map_err(|error| de::Error::custom(format!("{EXPECTED}: {error}")))?;
    if entries.len() > RATES_MAX {
        return Err(de::Error::custom(format!("expected at most {RATES_MAX} rates")));
    }
    let rates: Vec<Rate> =
        entries.into_iter().map(rate).collect::<Option<_>>().ok_or_else(|| de::Error::custom(EXPECTED))?;
    let mut subjects = HashSet::new();
    match rates.iter().find(|rate| !subjects.insert(&rate.subject)) {
        Some(twice) => Err(de::Error::custom(format!("expected one rate of {}", twice.subject))),
        None => Ok(rates),
    }
}

fn rate(entry: Entry) -> Option<Rate> {
    let subject = subject(entry.credential, entry.prefix)?;
    let requests_per_second = entry.requests_per_second;
    Some(Rate { subject, requests_per_second, burst: entry.burst.unwrap_or(requests_per_second) })
}

/// Whom a rate or quota bounds, by one of the two.
pub fn subject(credential: Option<String>, prefix: Option<String>) -> Option<Subject> {
    match (credential, prefix) {
        (Some(name), None) if name == reserved_names::EACH => Some(Subject::EachCredential),
        (Some(name), None) if !name.is_empty() => Some(Subject::Credential(name)),
        (None, Some(prefix)) if !prefix.is_empty() => Some(Subject::Prefix(prefix)),
        _ => None,
    }
}
