//! Unknown fields and parameters: refused with the nearest known name, because a misspelt one would otherwise mean a
//! default that its sender does not expect. `compat.ignore_unknown_fields` ignores them, as LDLM does.

use super::failure::Failure;
use super::query::Query;
use std::borrow::Cow;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnknownFields {
    Refuse,
    Ignore,
}

/// From this similarity on, of 0 to 1, one name may be a misspelling of the other.
const SIMILARITY_MIN: f64 = 0.7;
/// Characters of a name that a message shows.
const SHOWN_MAX: usize = 64;

pub fn unknown_field(given: &str, known: &[&'static str]) -> Failure {
    refuse("field", given, known)
}

/// Refuses the parameters of a query that are not known.
pub fn check_query(query: Query<'_>, known: &[&str], unknown: UnknownFields) -> Result<(), Failure> {
    let unknown_name = || query.names().find(|name| !known.contains(name));
    match unknown {
        UnknownFields::Refuse => unknown_name().map_or(Ok(()), |name| Err(refuse("query parameter", name, known))),
        UnknownFields::Ignore => Ok(()),
    }
}

/// Refuses parameters that look like fields, where fields are read from elsewhere. An older server reads no query there
/// at all, so everything else passes.
pub fn check_misplaced(
    query: Query<'_>,
    fields: &[&'static str],
    place: &str,
    unknown: UnknownFields,
) -> Result<(), Failure> {
    let mut misplaced = query.names().filter_map(|name| Some((name, nearest(name, fields)?)));
    match misplaced.next().filter(|_| unknown == UnknownFields::Refuse) {
        None => Ok(()),
        Some((given, nearest)) => {
            let given = shown(given);
            Err(Failure::field(nearest, format!("{given:?} in the query is not read here: {place}")))
        }
    }
}

fn refuse(what: &str, given: &str, known: &[&str]) -> Failure {
    let meant = nearest(given, known).map_or(String::new(), |name| format!(": did you mean {name:?}?"));
    let known = match known {
        [] => "none is known here".to_owned(),
        known => format!("known here: {}", known.join(", ")),
    };
    let given = shown(given);
    let detail =
        format!("the {what} {given:?} is not known{meant} ({known}; compat.ignore_unknown_fields ignores others)");
    Failure::new(super::code::Code::InvalidField, detail)
}

fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = given.to_lowercase().replace('-', "_");
    // One character is no misspelling of anything.
    let known = known.iter().filter(|_| plain.chars().nth(1).is_some());
    let similarity = |name: &str| strsim::jaro_winkler(&plain, name);
    let scored = known.map(|name| (similarity(name), *name));
    scored.filter(|(score, _)| *score >= SIMILARITY_MIN).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name)
}

fn shown(given: &str) -> Cow<'_, str> {
    match given.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &given[..end]).into(),
        None => given.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 6] =
        ["name", "size", "lock_timeout_seconds", "wait_timeout_seconds", "metadata", "request_id"];

    #[test]
    fn misspelt_name_suggests_the_nearest() {
        for (given, meant) in [
            ("lock_timeout", "lock_timeout_seconds"),
            ("lockTimeout", "lock_timeout_seconds"),
            ("lock-timeout-seconds", "lock_timeout_seconds"),
            ("wait_timeout", "wait_timeout_seconds"),
            ("wait", "wait_timeout_seconds"),
            ("nmae", "name"),
            ("Name", "name"),
            ("meta", "metadata"),
            ("requestid", "request_id"),
        ] {
            assert_eq!(nearest(given, &FIELDS), Some(meant), "{given}");
        }
        assert_eq!(nearest("zzz", &FIELDS), None);
        assert_eq!(nearest("", &FIELDS), None);
        assert_eq!(nearest("_", &["to_session"]), None);
    }

    #[test]
    fn message_lists_known_names_and_truncates_long_ones() {
        let failure = unknown_field("lock_timeout", &FIELDS);
        assert!(failure.detail.contains("did you mean \"lock_timeout_seconds\"?"), "{failure:?}");
        assert!(failure.detail.contains("compat.ignore_unknown_fields"), "{failure:?}");
        let long = unknown_field(&"日".repeat(1_000), &FIELDS);
        assert!(long.detail.len() < 500 && long.detail.contains("known here: name, size"), "{long:?}");
    }
}
