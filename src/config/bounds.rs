//! Lists of bounds, each for one credential, for each credential, or for all callers together under a prefix.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::access::{Subject, reserved_names};

/// Each rate is asked about each request, and each leadership writes all quotas to the log.
const ENTRIES_MAX: usize = 1000;

/// The words in which a list is refused.
pub struct Words {
    /// What one entry is called.
    pub noun: &'static str,
    /// What an entry looks like.
    pub expected: &'static str,
}

/// Reads a list; `read` tells whom an entry bounds and how, or nothing if it is not whole.
pub fn bounds<'de, D: Deserializer<'de>, E: Deserialize<'de>, B>(
    from: D,
    Words { noun, expected }: &Words,
    read: impl Fn(E) -> Option<(Subject, B)>,
) -> Result<Vec<(Subject, B)>, D::Error> {
    let entries = Vec::<E>::deserialize(from).map_err(|error| de::Error::custom(format!("{expected}: {error}")))?;
    if entries.len() > ENTRIES_MAX {
        return Err(de::Error::custom(format!("expected at most {ENTRIES_MAX} {noun}s")));
    }
    let bounds: Option<Vec<(Subject, B)>> = entries.into_iter().map(read).collect();
    let bounds = bounds.ok_or_else(|| de::Error::custom(expected))?;
    let mut subjects = HashSet::new();
    match bounds.iter().find(|(subject, _)| !subjects.insert(subject)) {
        Some((twice, _)) => Err(de::Error::custom(format!("expected one {noun} of {twice}"))),
        None => Ok(bounds),
    }
}

/// Whom an entry bounds, by one of the two.
pub fn subject(credential: Option<String>, prefix: Option<String>) -> Option<Subject> {
    match (credential, prefix) {
        (Some(name), None) if name == reserved_names::EACH => Some(Subject::EachCredential),
        (Some(name), None) if !name.is_empty() => Some(Subject::Credential(name)),
        (None, Some(prefix)) if !prefix.is_empty() => Some(Subject::Prefix(prefix)),
        _ => None,
    }
}
