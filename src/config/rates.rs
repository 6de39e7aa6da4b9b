//! `quotas.rates`: requests a second.

use std::num::NonZeroU32;

use serde::Deserialize;
use serde::de::Deserializer;

use super::bounds::{Words, bounds, subject};
use crate::access::Rate;
use crate::base::config_value::{positive, positive_if_given};

const WORDS: Words = Words {
    noun: "rate",
    expected: "expected { credential = \"ci\", requests_per_second = 50, burst = 100 }, or prefix = \"build/\" instead of \
               credential",
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    credential: Option<String>,
    prefix: Option<String>,
    #[serde(deserialize_with = "positive")]
    requests_per_second: u32,
    #[serde(default, deserialize_with = "positive_if_given")]
    burst: Option<u32>,
}

/// Reads the list. For `#[serde(deserialize_with)]`.
pub fn rates<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Rate>, D::Error> {
    let read = |entry: Entry| {
        let numbers = [entry.requests_per_second, entry.burst.unwrap_or(entry.requests_per_second)];
        let [requests_per_second, burst] = numbers.map(NonZeroU32::new);
        Some((subject(entry.credential, entry.prefix)?, (requests_per_second?, burst?)))
    };
    let rates = bounds(from, &WORDS, read)?.into_iter();
    Ok(rates.map(|(subject, (requests_per_second, burst))| Rate { subject, requests_per_second, burst }).collect())
}
